package sql

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // driver "pgx"
	_ "modernc.org/sqlite"             // driver "sqlite"
)

// driver is a kind of database.
type driver struct {
	name        string // for database/sql
	placeholder placeholder
	// source makes the driver's data source name of the option connect. Its errors hold no password.
	source func(connect, baseDir string, timeout time.Duration) (string, error)
}

var drivers = map[string]*driver{
	"pgsql":  {"pgx", dollar, postgresSource},
	"mysql":  {"mysql", question, mysqlSource},
	"sqlite": {"sqlite", question, sqliteSource},
}

// postgresSource takes libpq's syntax, "host=… dbname=…", or a postgres:// URL.
func postgresSource(connect, _ string, _ time.Duration) (string, error) {
	if _, err := pgx.ParseConfig(connect); err != nil {
		return "", errors.New(`is not of the form "host=… port=… dbname=… user=… password=…"`)
	}
	return connect, nil
}

// mysqlSource takes Dovecot's syntax: "host=… port=… dbname=… user=… password=…"; a host that begins with "/" is a socket.
func mysqlSource(connect, _ string, timeout time.Duration) (string, error) {
	c := mysql.NewConfig()
	c.Net, c.Timeout, c.ReadTimeout, c.WriteTimeout = "tcp", timeout, timeout, timeout
	host, port := "127.0.0.1", "3306"
	for _, word := range strings.Fields(connect) {
		key, value, ok := strings.Cut(word, "=")
		if !ok {
			return "", errors.New(`is not of the form "host=… port=… dbname=… user=… password=…"`)
		}
		switch key {
		case "host":
			host = value
		case "port":
			port = value
		case "dbname":
			c.DBName = value
		case "user":
			c.User = value
		case "password":
			c.Passwd = value
		case "ssl", "tls":
			c.TLSConfig = value // true, skip-verify, preferred, false
		default:
			return "", fmt.Errorf("has the unknown word %q", key)
		}
	}
	c.Addr = net.JoinHostPort(host, port)
	if strings.HasPrefix(host, "/") {
		c.Net, c.Addr = "unix", host
	}
	return c.FormatDSN(), nil
}

// sqliteSource takes the path of the file, which is only read.
func sqliteSource(connect, baseDir string, timeout time.Duration) (string, error) {
	if connect == "" {
		return "", errors.New("is required")
	}
	if !filepath.IsAbs(connect) {
		connect = filepath.Join(baseDir, connect)
	}
	u := url.URL{Scheme: "file", Path: connect, RawQuery: url.Values{
		"mode":    {"ro"},
		"_pragma": {fmt.Sprintf("busy_timeout(%d)", timeout.Milliseconds()), "query_only(1)"},
	}.Encode()}
	return u.String(), nil
}
