package cockroachledger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/pgxpool"

	"muster/allocator"
)

// Options are what an operator may set. Zero fields mean their defaults.
type Options struct {
	Connections      int           // at most so many at once; default 16
	Attempts         int           // of one transaction, each as a whole; default 40
	ConnectTimeout   time.Duration // default 5 s
	StatementTimeout time.Duration // the server's own bound on a statement whose caller is gone; default 30 s

	// Dial replaces the way to reach the server, for tests that break it.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

func (o Options) withDefaults() Options {
	if o.Connections == 0 {
		o.Connections = 16
	}
	if o.Attempts == 0 {
		o.Attempts = 40
	}
	if o.ConnectTimeout == 0 {
		o.ConnectTimeout = 5 * time.Second
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = 30 * time.Second
	}
	return o
}

// Validate reports every fault at once.
func (o Options) Validate() error {
	o = o.withDefaults()
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(o.Connections >= 1 && o.Connections <= 1000, "%d connections are not within 1 and 1000", o.Connections)
	check(o.Attempts >= 1 && o.Attempts <= 1000, "%d attempts are not within 1 and 1000", o.Attempts)
	check(o.ConnectTimeout >= 10*time.Millisecond, "connect timeout %v is below 10 ms", o.ConnectTimeout)
	check(o.StatementTimeout >= 100*time.Millisecond, "statement timeout %v is below 100 ms", o.StatementTimeout)
	return errors.Join(faults...)
}

// Ledger is an allocator.Ledger in CockroachDB or PostgreSQL. Safe for concurrent use.
type Ledger struct {
	pool    *pgxpool.Pool
	engine  Engine
	options Options
	q       *queries
	schema  int64    // version that this program needs
	zones   sync.Map // name → *time.Location
}

var _ allocator.Ledger = (*Ledger)(nil)

// Open connects, learns which engine answers, and makes sure that it serializes. It does not touch the schema: see
// Migrate and Check. An error is allocator.ErrUnavailable where nobody answers.
func Open(ctx context.Context, url string, options Options) (*Ledger, error) {
	if err := options.Validate(); err != nil {
		return nil, err
	}
	options = options.withDefaults()
	q, err := loadQueries(queryFiles)
	if err != nil {
		return nil, err
	}
	schema, err := schemaVersion(migrationFiles)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errors.New("the ledger's address is not a valid URL") // err would repeat it, password included
	}
	configure(config, options)
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	l := &Ledger{pool: pool, options: options, q: q, schema: schema}
	var version string
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT version()").Scan(&version)
	})
	if err == nil {
		l.engine, err = engineOf(version)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	return l, nil
}

// configure makes every connection serializable and bounded, and has the end of a context cancel its statement on the
// server, so that most outcomes are known even then.
func configure(config *pgxpool.Config, options Options) {
	config.MaxConns = int32(options.Connections)
	config.ConnConfig.ConnectTimeout = options.ConnectTimeout
	params := config.ConnConfig.RuntimeParams
	params["default_transaction_isolation"] = "serializable"
	params["statement_timeout"] = fmt.Sprint(options.StatementTimeout.Milliseconds())
	params["idle_in_transaction_session_timeout"] = fmt.Sprint(options.StatementTimeout.Milliseconds())
	if params["application_name"] == "" {
		params["application_name"] = "muster"
	}
	if options.Dial != nil {
		config.ConnConfig.DialFunc = options.Dial
	}
	config.ConnConfig.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelGrace}
	}
	config.AfterConnect = prepareSession
}

// cancelGrace is how long a cancelled statement may take to say what became of it.
const cancelGrace = 250 * time.Millisecond

// Engine says which database answers.
func (l *Ledger) Engine() Engine { return l.engine }

// Close ends every connection, after the calls that use one have returned.
func (l *Ledger) Close() error {
	l.pool.Close()
	return nil
}

// read runs single statements that only read, each on its own, and retries them.
func (l *Ledger) read(ctx context.Context, fn func(ctx context.Context, conn *pgx.Conn) error) error {
	return readOnly(l.retry(ctx, func(int) error {
		return l.withConn(ctx, func(conn *pgx.Conn) error { return fn(ctx, conn) })
	}))
}

// Now is the ledger's clock.
func (l *Ledger) Now(ctx context.Context) (now time.Time, err error) {
	err = l.read(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return conn.QueryRow(ctx, l.q.Now).Scan(&now)
	})
	return now.UTC(), err
}

// Agree stores the first candidate of a name.
func (l *Ledger) Agree(ctx context.Context, name string, candidate []byte) (agreed []byte, err error) {
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, l.q.StoreSetting, name, candidate); err != nil {
			return err
		}
		return tx.QueryRow(ctx, l.q.ReadSetting, name).Scan(&agreed)
	})
	return agreed, err
}

// Amend compares and stores.
func (l *Ledger) Amend(ctx context.Context, name string, was, now []byte) (amended []byte, err error) {
	err = l.transact(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, l.q.AmendSetting, name, was, now); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, l.q.ReadSetting, name).Scan(&amended); !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		amended = nil
		return nil
	})
	return amended, err
}

// zone loads a time zone once.
func (l *Ledger) zone(name string) (*time.Location, error) {
	if known, ok := l.zones.Load(name); ok {
		return known.(*time.Location), nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("time zone of a site: %w", err)
	}
	l.zones.Store(name, zone)
	return zone, nil
}
