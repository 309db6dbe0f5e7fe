/*
 * roost-pam: passwords checked by PAM, for the auth plugin "checkpassword".
 *
 *     roost-pam [--service NAME] [--confdir DIR] PROGRAM [ARGUMENT]...
 *
 * Descriptor 3 has the name of a user, NUL, the password, NUL. If PAM lets the user in, PROGRAM is run with USER, and, of
 * a user of the system, HOME, userdb_uid and userdb_gid in its environment. Otherwise the exit status is 1: wrong password, or a user
 * who may not log in; 3: a lookup (AUTHORIZED=1, without password) of a user whom the system does not know; or 111: PAM could not tell.
 *
 * PAM's modules run in this process, one for each login: what they leak or break ends with it. The delay that they want after a failure is
 * left to roost, which makes the client wait without holding a process.
 */
#include <errno.h>
#include <pwd.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { EXIT_NO = 1, EXIT_UNKNOWN = 3, EXIT_BROKEN = 111, MAX_INPUT = 8192 };

struct login {
	const char *user, *password;
};

/* converse answers what modules ask: without echo for the password, with echo for the name. */
static int converse(int n, const struct pam_message **messages, struct pam_response **out, void *data)
{
	const struct login *login = data;
	struct pam_response *answers;

	if (n <= 0 || n > PAM_MAX_NUM_MSG)
		return PAM_CONV_ERR;
	answers = calloc((size_t)n, sizeof(*answers));
	if (answers == NULL)
		return PAM_BUF_ERR;
	for (int i = 0; i < n; i++) {
		const char *text = NULL;

		switch (messages[i]->msg_style) {
		case PAM_PROMPT_ECHO_OFF:
			text = login->password;
			break;
		case PAM_PROMPT_ECHO_ON:
			text = login->user;
			break;
		case PAM_ERROR_MSG:
		case PAM_TEXT_INFO:
			continue;
		default:
			goto fail;
		}
		answers[i].resp = strdup(text);
		if (answers[i].resp == NULL)
			goto fail;
	}
	*out = answers;
	return PAM_SUCCESS;
fail:
	for (int i = 0; i < n; i++) {
		if (answers[i].resp != NULL) {
			explicit_bzero(answers[i].resp, strlen(answers[i].resp));
			free(answers[i].resp);
		}
	}
	free(answers);
	return PAM_CONV_ERR;
}

static void no_delay(int status, unsigned usec, void *data)
{
	(void)status, (void)usec, (void)data;
}

/* refused tells a login that PAM refuses from one that it could not decide. */
static int refused(int status)
{
	switch (status) {
	case PAM_AUTH_ERR:
	case PAM_USER_UNKNOWN:
	case PAM_MAXTRIES:
	case PAM_PERM_DENIED:
	case PAM_ACCT_EXPIRED:
	case PAM_NEW_AUTHTOK_REQD:
	case PAM_AUTHTOK_EXPIRED:
	case PAM_CRED_INSUFFICIENT:
	case PAM_CRED_EXPIRED:
		return 1;
	}
	return 0;
}

static int number(const char *key, unsigned long value)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", value);
	return setenv(key, text, 1);
}

/* describe puts what the system knows of a user into the environment. It returns 0, or an exit status. */
static int describe(const char *user, int lookup)
{
	const struct passwd *pw;

	if (setenv("USER", user, 1) != 0)
		return EXIT_BROKEN;
	errno = 0;
	pw = getpwnam(user);
	if (pw == NULL) /* a user of PAM alone: the plugin's options default_fields say where the mail is */
		return !lookup ? 0 : errno == 0 || errno == ENOENT ? EXIT_UNKNOWN : EXIT_BROKEN;
	if (setenv("HOME", pw->pw_dir, 1) != 0 || number("userdb_uid", pw->pw_uid) != 0 || number("userdb_gid", pw->pw_gid) != 0 ||
	    setenv("EXTRA", "userdb_uid userdb_gid", 1) != 0)
		return EXIT_BROKEN;
	return 0;
}

/* check asks PAM. It returns 0, or an exit status. */
static int check(const char *service, const char *confdir, const struct login *login)
{
	struct pam_conv conv = {converse, (void *)login};
	pam_handle_t *pam = NULL;
	const char *remote = getenv("TCPREMOTEIP");
	const void *item = NULL;
	int status, code = EXIT_BROKEN;

	status = confdir != NULL ? pam_start_confdir(service, login->user, &conv, confdir, &pam) : pam_start(service, login->user, &conv, &pam);
	if (status != PAM_SUCCESS) {
		fprintf(stderr, "roost-pam: pam_start: error %d\n", status);
		return EXIT_BROKEN;
	}
	pam_set_item(pam, PAM_FAIL_DELAY, (const void *)no_delay);
	pam_set_item(pam, PAM_TTY, "roost");
	if (remote != NULL && *remote != '\0')
		pam_set_item(pam, PAM_RHOST, remote);
	status = pam_authenticate(pam, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
	if (status == PAM_SUCCESS)
		status = pam_acct_mgmt(pam, PAM_SILENT);
	if (status == PAM_SUCCESS)
		status = pam_get_item(pam, PAM_USER, &item); /* modules may have another name for the user */
	if (status == PAM_SUCCESS && item != NULL)
		code = describe(item, 0);
	else if (refused(status))
		code = EXIT_NO;
	else
		fprintf(stderr, "roost-pam: %s\n", pam_strerror(pam, status));
	pam_end(pam, status);
	return code;
}

int main(int argc, char **argv)
{
	static char input[MAX_INPUT + 1];
	const char *service = "imap", *confdir = NULL, *authorized = getenv("AUTHORIZED");
	struct login login;
	size_t used = 0;
	int arg = 1, code;

	for (; arg + 1 < argc && strncmp(argv[arg], "--", 2) == 0; arg += 2) {
		if (strcmp(argv[arg], "--service") == 0)
			service = argv[arg + 1];
		else if (strcmp(argv[arg], "--confdir") == 0)
			confdir = argv[arg + 1];
		else
			break;
	}
	if (arg >= argc || strncmp(argv[arg], "--", 2) == 0) {
		fprintf(stderr, "usage: roost-pam [--service NAME] [--confdir DIR] PROGRAM [ARGUMENT]...\n");
		return EXIT_BROKEN;
	}
	for (;;) {
		ssize_t n = read(3, input + used, MAX_INPUT - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return EXIT_BROKEN;
		if (n == 0)
			break;
		used += (size_t)n;
		if (used == MAX_INPUT)
			return EXIT_NO;
	}
	close(3);
	login.user = input; /* input ends with a NUL of its own */
	login.password = memchr(input, '\0', used);
	if (used == 0 || login.user[0] == '\0' || login.password == NULL)
		return EXIT_BROKEN;
	login.password++;
	if (authorized != NULL && strcmp(authorized, "1") == 0)
		code = describe(login.user, 1);
	else if (login.password >= input + used)
		code = EXIT_BROKEN;
	else
		code = check(service, confdir, &login);
	explicit_bzero(input, sizeof(input));
	if (code != 0)
		return code;
	execv(argv[arg], argv + arg);
	perror("roost-pam: exec");
	return EXIT_BROKEN;
}
