package cockroachledger

import (
	"time"

	"github.com/jackc/pgx/v5"

	"muster/allocator"
)

func scanSite(row pgx.CollectableRow) (allocator.Site, error) {
	var generation, version int64
	var details string
	if err := row.Scan(&generation, &version, &details); err != nil {
		return allocator.Site{}, err
	}
	site, err := allocator.DecodeSite([]byte(details))
	site.Generation, site.Version = generation, version
	return site, err
}

func scanService(row pgx.CollectableRow) (allocator.Service, error) {
	var version int64
	var details string
	if err := row.Scan(&version, &details); err != nil {
		return allocator.Service{}, err
	}
	service, err := allocator.DecodeService([]byte(details))
	service.Version = version
	return service, err
}

// scanDay reads site, date, revision, sessions and, where asked for, when the day changed.
func scanDay(row pgx.Row, changed ...*time.Time) (day allocator.Day, err error) {
	var date int32
	var sessions string
	targets := []any{&day.Site, &date, &day.Revision, &sessions}
	for _, c := range changed {
		targets = append(targets, c)
	}
	if err := row.Scan(targets...); err != nil {
		return allocator.Day{}, err
	}
	day.Date = allocator.Date(date)
	day.Sessions, err = allocator.DecodeSessions([]byte(sessions))
	return day, err
}
