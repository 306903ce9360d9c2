package baseline

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// RowsPerInsert is how many bookings InsertRows writes by one statement.
	RowsPerInsert = 256
	// inserters write at the same time: one waits for its commit while another's rows are checked.
	inserters = 4
)

const insertRows = `
	INSERT INTO bookings (reference, slot, place, nhs_number, given_name, family_name, date_of_birth)
	SELECT r, s, p, n, 'Ada', 'Example', '1948-05-17'
	FROM unnest($1::text[], $2::int[], $3::int[], $4::text[]) AS rows (r, s, p, n)`

// InsertRows writes bookings into an empty database for a while, many by a statement, and nothing else: what the database by
// itself can take. The table and its unique indexes are those of Script. It answers how many rows were committed, which are
// all there, and how long that took.
func InsertRows(ctx context.Context, url string, during time.Duration) (rows int64, took time.Duration, err error) {
	pool, err := connect(ctx, url)
	if err != nil {
		return 0, 0, err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, schemas[Script]); err != nil {
		return 0, 0, err
	}
	var next, committed atomic.Int64
	var working sync.WaitGroup
	failed := make(chan error, inserters)
	began := time.Now()
	for range inserters {
		working.Go(func() {
			for time.Since(began) < during {
				if err := insertBatch(ctx, pool, next.Add(RowsPerInsert)-RowsPerInsert); err != nil {
					failed <- err
					return
				}
				committed.Add(RowsPerInsert)
			}
		})
	}
	working.Wait()
	took = time.Since(began)
	close(failed)
	for err := range failed {
		return 0, 0, err
	}
	var kept int64
	if err := pool.QueryRow(ctx, "SELECT count(*) FROM bookings").Scan(&kept); err != nil {
		return 0, 0, err
	}
	if kept != committed.Load() {
		return 0, 0, fmt.Errorf("%d rows were committed, and %d are there", committed.Load(), kept)
	}
	return kept, took, nil
}

func insertBatch(ctx context.Context, pool *pgxpool.Pool, from int64) error {
	references, numbers := make([]string, RowsPerInsert), make([]string, RowsPerInsert)
	slots, places := make([]int32, RowsPerInsert), make([]int32, RowsPerInsert)
	for i := range references {
		n := from + int64(i)
		references[i], numbers[i] = random(), fmt.Sprintf("%010d", n)
		slots[i], places[i] = int32(n*7919%20_000), int32(n/20_000)
	}
	_, err := pool.Exec(ctx, insertRows, references, slots, places, numbers)
	return err
}
