#include "core/system/mail.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "core/system/clock.h"

enum {
	DEFAULT_PORT = 25,
	LINE_MOST = 900, /* RFC 5322 allows 998 bytes */
	BASE64_LINE = 57,
	/* Bytes of a word in a header, so that it has at most 75 characters (RFC 2047). */
	WORD_BYTES = 42,
};

/* --- the mail as text --- */

static void print_base64(const char *bytes, size_t len, struct buffer *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *in = (const unsigned char *)bytes;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t group = (uint32_t)in[i] << 16;

		if (i + 1 < len)
			group |= (uint32_t)in[i + 1] << 8;
		if (i + 2 < len)
			group |= in[i + 2];
		buffer_append_char(out, digits[group >> 18]);
		buffer_append_char(out, digits[group >> 12 & 63]);
		buffer_append_char(out, i + 1 < len ? digits[group >> 6 & 63] : '=');
		buffer_append_char(out, i + 2 < len ? digits[group & 63] : '=');
	}
}

static bool is_plain(const char *text, size_t line_most)
{
	size_t line = 0;

	for (; *text != '\0'; text++) {
		line = *text == '\n' ? 0 : line + 1;
		if ((unsigned char)*text >= 0x7f || *text == '\r' || line > line_most)
			return false;
	}
	return true;
}

static void print_subject(const char *subject, struct buffer *out)
{
	buffer_append_text(out, "Subject: ");
	if (is_plain(subject, LINE_MOST)) {
		buffer_append_text(out, subject);
	} else {
		for (size_t len; *subject != '\0'; subject += len) {
			len = strnlen(subject, WORD_BYTES);
			while (len > 1 && (subject[len] & 0xc0) == 0x80) /* whole characters */
				len--;
			buffer_append_text(out, "=?utf-8?b?");
			print_base64(subject, len, out);
			buffer_append_text(out, subject[len] != '\0' ? "?=\r\n " : "?=");
		}
	}
	buffer_append_text(out, "\r\n");
}

/* As RFC 5322 has it, whatever the locale. */
static void print_date(int64_t real_ns, struct buffer *out)
{
	static const char days[] = "SunMonTueWedThuFriSat";
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	time_t second = (time_t)(real_ns / NS_PER_S);
	struct tm tm;

	if (localtime_r(&second, &tm) == NULL)
		return;
	buffer_printf(out, "Date: %.3s, %d %.3s %d %02d:%02d:%02d %+05ld\r\n",
		days + (ptrdiff_t)3 * tm.tm_wday, tm.tm_mday, months + (ptrdiff_t)3 * tm.tm_mon,
		tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec,
		tm.tm_gmtoff / 3600 * 100 + tm.tm_gmtoff % 3600 / 60);
}

static void print_text(const char *text, struct buffer *out)
{
	size_t len = strlen(text);

	if (is_plain(text, LINE_MOST)) {
		buffer_append_text(out, "Content-Transfer-Encoding: 7bit\r\n\r\n");
		for (; *text != '\0'; text++) {
			if (*text == '\n')
				buffer_append_char(out, '\r');
			buffer_append_char(out, *text);
		}
		return;
	}
	buffer_append_text(out, "Content-Transfer-Encoding: base64\r\n\r\n");
	for (size_t i = 0; i < len; i += BASE64_LINE) {
		print_base64(text + i, len - i < BASE64_LINE ? len - i : BASE64_LINE, out);
		buffer_append_text(out, "\r\n");
	}
}

void mail_print(const struct mail *mail, struct buffer *out)
{
	buffer_printf(out, "From: %s\r\nTo: ", mail->from);
	for (size_t i = 0; i < mail->to_count; i++)
		buffer_printf(out, "%s%s", i > 0 ? ",\r\n " : "", mail->to[i]);
	buffer_append_text(out, "\r\n");
	print_subject(mail->subject, out);
	print_date(mail->real_ns, out);
	buffer_printf(out,
		"Message-ID: <%s@nowcast>\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=\"utf-8\"\r\n",
		mail->id);
	print_text(mail->text, out);
}

/* --- sending --- */

static struct {
	__typeof__(&curl_global_init) global_init;
	__typeof__(&curl_easy_init) easy_init;
	__typeof__(&curl_easy_setopt) easy_setopt;
	__typeof__(&curl_easy_perform) easy_perform;
	__typeof__(&curl_easy_strerror) easy_strerror;
	__typeof__(&curl_easy_cleanup) easy_cleanup;
	__typeof__(&curl_slist_append) slist_append;
	__typeof__(&curl_slist_free_all) slist_free_all;
	bool loaded;
} curl;

static bool take(void *library, const char *name, void *function)
{
	void *found = dlsym(library, name);

	/* POSIX says that this works; ISO C has no cast for it. */
	memcpy(function, &found, sizeof(found));
	return found != NULL;
}

static enum nc_err load_curl(struct error *error)
{
	void *library;

	if (curl.loaded)
		return NC_OK;
	library = dlopen("libcurl.so.4", RTLD_NOW);
	if (library == NULL)
		library = dlopen("libcurl-gnutls.so.4", RTLD_NOW);
	if (library == NULL)
		return error_set(error, NC_ERR_SYSTEM,
			"mail needs libcurl, which cannot be loaded (install Debian's libcurl4): "
			"%s",
			dlerror());
	if (!take(library, "curl_global_init", &curl.global_init) ||
		!take(library, "curl_easy_init", &curl.easy_init) ||
		!take(library, "curl_easy_setopt", &curl.easy_setopt) ||
		!take(library, "curl_easy_perform", &curl.easy_perform) ||
		!take(library, "curl_easy_strerror", &curl.easy_strerror) ||
		!take(library, "curl_easy_cleanup", &curl.easy_cleanup) ||
		!take(library, "curl_slist_append", &curl.slist_append) ||
		!take(library, "curl_slist_free_all", &curl.slist_free_all))
		return error_set(
			error, NC_ERR_SYSTEM, "this libcurl cannot be used: %s", dlerror());
	if (curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(error, NC_ERR_SYSTEM, "libcurl cannot be used");
	curl.loaded = true;
	return NC_OK;
}

static size_t give_text(char *to, size_t size, size_t count, void *argument)
{
	struct buffer *text = argument;
	size_t len = size * count < text->len ? size * count : text->len;

	memcpy(to, text->data, len);
	buffer_consume(text, len);
	return len;
}

static CURLcode set_server(CURL *handle, const struct mail_server *server, const char *url)
{
	CURLcode code = curl.easy_setopt(handle, CURLOPT_URL, url);

	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "smtp");
	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	if (code == CURLE_OK)
		code = curl.easy_setopt(
			handle, CURLOPT_CONNECTTIMEOUT_MS, (long)server->timeout_ms);
	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_TIMEOUT_MS, 10 * (long)server->timeout_ms);
	if (code == CURLE_OK && server->secure)
		code = curl.easy_setopt(handle, CURLOPT_USE_SSL, (long)CURLUSESSL_ALL);
	if (code == CURLE_OK && server->user != NULL)
		code = curl.easy_setopt(handle, CURLOPT_USERNAME, server->user);
	if (code == CURLE_OK && server->user != NULL)
		code = curl.easy_setopt(handle, CURLOPT_PASSWORD, server->password);
	return code;
}

static CURLcode set_mail(
	CURL *handle, const char *from, struct curl_slist *to, struct buffer *text, char *why)
{
	CURLcode code = curl.easy_setopt(handle, CURLOPT_MAIL_FROM, from);

	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_MAIL_RCPT, to);
	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_UPLOAD, 1L);
	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_READFUNCTION, give_text);
	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_READDATA, text);
	if (code == CURLE_OK)
		code = curl.easy_setopt(handle, CURLOPT_ERRORBUFFER, why);
	return code;
}

enum nc_err mail_send(
	const struct mail_server *server, const struct mail *mail, struct error *error)
{
	bool brackets = strchr(server->host, ':') != NULL; /* IPv6 */
	char why[CURL_ERROR_SIZE] = "";
	struct curl_slist *to = NULL;
	struct buffer url, text;
	CURLcode code = CURLE_OUT_OF_MEMORY;
	CURL *handle;
	enum nc_err err = load_curl(error);

	if (err != NC_OK)
		return err;
	buffer_init(&url);
	buffer_init(&text);
	handle = curl.easy_init();
	buffer_printf(&url, "smtp://%s%s%s:%" PRId64, brackets ? "[" : "", server->host,
		brackets ? "]" : "", server->port != 0 ? server->port : DEFAULT_PORT);
	mail_print(mail, &text);
	for (size_t i = 0; i < mail->to_count; i++) {
		struct curl_slist *longer = curl.slist_append(to, mail->to[i]);

		text.failed = text.failed || longer == NULL;
		to = longer != NULL ? longer : to;
	}
	if (handle != NULL && !url.failed && !text.failed) {
		code = set_server(handle, server, url.data);
		if (code == CURLE_OK)
			code = set_mail(handle, mail->from, to, &text, why);
		if (code == CURLE_OK)
			code = curl.easy_perform(handle);
	}
	if (code == CURLE_OUT_OF_MEMORY)
		err = error_nomem(error);
	else if (code != CURLE_OK)
		err = error_set(error, NC_ERR_REFUSED, "%s:%" PRId64 ": %s", server->host,
			server->port != 0 ? server->port : DEFAULT_PORT,
			why[0] != '\0' ? why : curl.easy_strerror(code));
	if (handle != NULL)
		curl.easy_cleanup(handle);
	curl.slist_free_all(to);
	buffer_finish(&text);
	buffer_finish(&url);
	return err;
}
