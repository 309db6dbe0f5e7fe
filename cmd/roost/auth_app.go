package main

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/roostmail/roost/core/config"
	"github.com/roostmail/roost/plugins/auth/passwdfile"
	"github.com/roostmail/roost/plugins/sdk/authdb"
)

func appPasswordCommand() *cobra.Command {
	c := group("app-password", "passwords for one program each", appNewCommand(), appListCommand(), appRevokeCommand())
	c.Long = `Manage app passwords: passwords for one program each, beside the user's own. They are in the
file options.app_passwords_path of the auth plugin passwd-file, and count from the next second on.
USER is the name as the plugin normalises it: in small letters, by default.`
	return c
}

// appFile returns the file of app passwords for a user.
func appFile(file, user string) (string, error) {
	c, err := config.Load(file, bundle.Catalog())
	if err != nil {
		return "", err
	}
	path, _ := c.Auth.Options["app_passwords_path"].(string)
	if c.Auth.Name != "passwd-file" || !c.Auth.Bundled || path == "" {
		return "", errors.New("[auth] has no options.app_passwords_path of the plugin passwd-file")
	}
	if user == "" || strings.ContainsAny(user, ":#\r\n") {
		return "", fmt.Errorf("%q is not the name of a user", user)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	path, ok, err := authdb.Vars{User: user}.ExpandPath(path)
	if err == nil && !ok {
		err = fmt.Errorf("%q has no file", user)
	}
	return path, err
}

func appNewCommand() *cobra.Command {
	var file, label, scopes, expires string
	c := &cobra.Command{
		Use:   "new --label LABEL [--scopes SCOPES] [--expires WHEN] --config FILE USER",
		Short: "make an app password, and show it once",
		Long: `Make an app password for USER, and show it: it can not be shown again. LABEL tells it from the
user's other ones, in the log too. SCOPES is imap, or imap:read for a program that may change nothing. WHEN is a
day ("2030-12-31") or time ("2030-12-31T12:00:00Z") from which it is not good any more, or a number of days ("90d").`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := appFile(file, args[0])
			if err != nil {
				return err
			}
			if label == "" || strings.ContainsAny(label, ":\r\n") {
				return errors.New(`--label must be a text without ":"`)
			}
			now := time.Now()
			if expires, err = afterDays(expires, now); err != nil {
				return err
			}
			password := rand.Text() // 130 bits
			line := passwdfile.AppLine{User: args[0], Label: label, Stored: hashApp(password), Scopes: scopes, Expires: expires}
			a, err := authdb.ParseAppPassword(label, line.Stored, scopes, expires)
			if err != nil {
				return fmt.Errorf("--expires: %w", err)
			}
			if !a.Expires.IsZero() && !a.Expires.After(now) {
				return fmt.Errorf("--expires: %s is over", expires)
			}
			if strings.Contains(expires, ":") {
				line.Expires = strconv.FormatInt(a.Expires.Unix(), 10)
			}
			if i := slices.IndexFunc(a.Scopes, func(s string) bool { return s != "imap" && s != "imap:read" }); i >= 0 || len(a.Scopes) == 0 {
				return fmt.Errorf(`--scopes: must be "imap" or "imap:read", not %q`, scopes)
			}
			err = passwdfile.ChangeAppLines(path, func(lines []string) ([]string, error) {
				if slices.ContainsFunc(lines, isApp(args[0], label)) {
					return nil, fmt.Errorf("%s has an app password %q already", args[0], label)
				}
				return append(lines, line.String()), nil
			})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), password)
			return err
		},
	}
	configFlag(c, &file)
	c.Flags().StringVar(&label, "label", "", "`LABEL` of the password")
	c.Flags().StringVar(&scopes, "scopes", "imap", "`SCOPES`: imap, or imap:read")
	c.Flags().StringVar(&expires, "expires", "", "`WHEN` it ends; empty: never")
	return c
}

// afterDays returns the time that is so many days after now, if expires is such a number, and otherwise expires.
func afterDays(expires string, now time.Time) (string, error) {
	number, found := strings.CutSuffix(expires, "d")
	if !found {
		return expires, nil
	}
	days, err := strconv.Atoi(number)
	if err != nil || days < 1 || days > 100000 {
		return "", fmt.Errorf("--expires: %q is not a number of days", expires)
	}
	return now.UTC().AddDate(0, 0, days).Format(time.RFC3339), nil
}

// hashApp returns a password as it is stored. It is random and long, so that a fast hash with salt keeps it secret.
func hashApp(password string) string {
	salt := []byte(rand.Text())[:8]
	sum := sha512.Sum512(append([]byte(password), salt...))
	return "{SSHA512}" + base64.StdEncoding.EncodeToString(append(sum[:], salt...))
}

// isApp reports whether a line is that of an app password.
func isApp(user, label string) func(line string) bool {
	return func(line string) bool { return strings.HasPrefix(line, user+":"+label+":") }
}

func appListCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "list --config FILE USER",
		Short: "list the app passwords of a user",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := appFile(file, args[0])
			if err != nil {
				return err
			}
			lines, err := passwdfile.ReadAppLines(path)
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "LABEL\tSCOPES\tEXPIRES")
			for _, l := range lines {
				if l.User != args[0] {
					continue
				}
				expires := orDash(l.Expires)
				if a, err := authdb.ParseAppPassword(l.Label, l.Stored, l.Scopes, l.Expires); err == nil && !a.Expires.IsZero() {
					expires = a.Expires.UTC().Format(time.DateTime + " UTC")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", l.Label, orDash(l.Scopes), expires)
			}
			return w.Flush()
		},
	}
	configFlag(c, &file)
	return c
}

func appRevokeCommand() *cobra.Command {
	var file, label string
	c := &cobra.Command{
		Use:   "revoke --label LABEL --config FILE USER",
		Short: "remove an app password",
		Long: `Remove an app password. Nobody can log in with it from the next second on ([auth] cache_size set: from
the next SIGHUP on, or after cache_ttl); sessions that have logged in go on.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := appFile(file, args[0])
			if err != nil {
				return err
			}
			return passwdfile.ChangeAppLines(path, func(lines []string) ([]string, error) {
				left := slices.DeleteFunc(slices.Clone(lines), isApp(args[0], label))
				if len(left) == len(lines) {
					return nil, fmt.Errorf("%s has no app password %q", args[0], label)
				}
				return left, nil
			})
		},
	}
	configFlag(c, &file)
	c.Flags().StringVar(&label, "label", "", "`LABEL` of the password")
	return c
}
