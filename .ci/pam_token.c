/* A PAM module for the tests: what stands for Entra behind MariaDB. It takes a user whose password is a line of
 * the file DIR/USER, where DIR is the module's argument. Debian's own modules cut passwords far below a token's
 * length. .ci/servers compiles it without libpam's headers, which would be one more package. */
#include <stdio.h>
#include <string.h>

int pam_get_user(void *handle, const char **user, const char *prompt);
int pam_get_authtok(void *handle, int item, const char **password, const char *prompt);

enum { PAM_SUCCESS = 0, PAM_AUTHTOK = 6, PAM_AUTH_ERR = 7 };

int pam_sm_authenticate(void *handle, int flags, int argc, const char **argv) {
	const char *user, *password;
	char path[4096], token[65536];
	FILE *file;
	int result = PAM_AUTH_ERR;

	if (argc != 1 || pam_get_user(handle, &user, NULL) != PAM_SUCCESS || strchr(user, '/') != NULL ||
	    pam_get_authtok(handle, PAM_AUTHTOK, &password, NULL) != PAM_SUCCESS)
		return PAM_AUTH_ERR;
	snprintf(path, sizeof path, "%s/%s", argv[0], user);
	if ((file = fopen(path, "r")) == NULL)
		return PAM_AUTH_ERR;
	while (fgets(token, sizeof token, file) != NULL) {
		token[strcspn(token, "\n")] = '\0';
		if (token[0] != '\0' && strcmp(token, password) == 0)
			result = PAM_SUCCESS;
	}
	fclose(file);
	return result;
}

int pam_sm_setcred(void *handle, int flags, int argc, const char **argv) { return PAM_SUCCESS; }
int pam_sm_acct_mgmt(void *handle, int flags, int argc, const char **argv) { return PAM_SUCCESS; }
