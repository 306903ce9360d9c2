package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/jackc/pgx/v5"
)

// databases makes a database for each engine in one PostgreSQL, and drops them in the end.
type databases struct {
	url        url.URL
	connection *pgx.Conn
	version    string
	postmaster int // process id; 0: elsewhere
	names      []string
}

func openDatabases(ctx context.Context, address string) (*databases, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("the address of PostgreSQL is not a URL such as postgresql://user@host:port/database")
	}
	c, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	d := &databases{url: *u, connection: c}
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		var value string
		if err := c.QueryRow(ctx, "SELECT current_setting($1)", setting).Scan(&value); err != nil || value != "on" {
			return nil, errors.Join(fmt.Errorf("%s of PostgreSQL is %q, and must be on", setting, value), err, c.Close(ctx))
		}
	}
	if err := c.QueryRow(ctx, "SHOW server_version").Scan(&d.version); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	if d.postmaster, err = findPostmaster(ctx, c); err != nil {
		return nil, errors.Join(err, c.Close(ctx))
	}
	return d, nil
}

// create makes an empty database and returns its URL.
func (d *databases) create(ctx context.Context) (string, error) {
	name := fmt.Sprintf("muster_bench_%d_%d", os.Getpid(), len(d.names))
	if _, err := d.connection.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	d.names = append(d.names, name)
	u := d.url
	u.Path = "/" + name
	return u.String(), nil
}

func (d *databases) close(ctx context.Context) (err error) {
	for _, name := range d.names {
		_, dropped := d.connection.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)")
		err = errors.Join(err, dropped)
	}
	return errors.Join(err, d.connection.Close(ctx))
}
