package audit

import (
	"context"
	"time"

	"muster/allocator"
)

// Row is a booking as somebody's books have it.
type Row struct {
	Reference string
	Slot      Slot
	Service   string
	Live      bool
	NHSNumber string // "" where the books do not tell
	Person    string // equal for rows of one person, service programme and dose; "" where the books do not tell
	Place     int    // -1 where the books do not tell
}

// Day is what books have of one day of a site.
type Day struct {
	Rows  []Row
	Slots []allocator.Slot // what the published sessions offer
}

// Books are a place where bookings are kept.
type Books interface {
	// Name says where they are.
	Name() string
	// Zone is a site's time zone.
	Zone(ctx context.Context, site string) (*time.Location, error)
	// Day reads all bookings of a site's date, ended ones included. Safe for concurrent use.
	Day(ctx context.Context, site, date string) (Day, error)
}
