package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"muster/bench/baseline"
	"muster/geo"
)

// The contest of nearest sites.
const (
	nearestSites   = 10_000
	nearestFree    = 5 // in a hundred
	nearestMetres  = 100_000
	nearestOrigins = 1024
	nearestChanges = 5_000 // of availability, a second
)

// parts measures single parts once: what the database takes by itself, and how the nearest free sites are found.
func (r *runner) parts(ctx context.Context) error {
	if r.databases != nil && !r.Brief {
		if err := r.inserts(ctx); err != nil {
			return fmt.Errorf("inserting rows: %w", err)
		}
	}
	if r.redis != nil {
		if err := r.nearest(ctx); err != nil {
			return fmt.Errorf("finding the nearest: %w", err)
		}
	}
	return nil
}

// part keeps a figure, of which the report tells the median.
func (r *runner) part(name, unit, note string, value float64) {
	r.Progress("%s: %.4g %s", name, value, unit)
	at := slices.IndexFunc(r.report.Figures, func(f Figure) bool { return f.Name == name })
	if at < 0 {
		at = len(r.report.Figures)
		r.report.Figures = append(r.report.Figures, Figure{Name: name, Unit: unit, Note: note})
	}
	f := &r.report.Figures[at]
	f.All = append(f.All, value)
	f.Value = median(slices.Sorted(slices.Values(f.All)))
}

func (r *runner) inserts(ctx context.Context) error {
	database, err := r.databases.create(ctx)
	if err != nil {
		return err
	}
	before, err := familyCPU(r.databases.postmaster)
	if err != nil && r.databases.postmaster != 0 {
		return err
	}
	rows, took, err := baseline.InsertRows(ctx, database, r.Measure)
	if err != nil {
		return err
	}
	r.part("raw inserts", "rows/s", fmt.Sprintf("%d bookings a statement, three unique indexes, nothing else", baseline.RowsPerInsert),
		float64(rows)/took.Seconds())
	if r.databases.postmaster == 0 {
		return nil
	}
	after, err := familyCPU(r.databases.postmaster)
	r.part("raw inserts, CPU of PostgreSQL", "µs/row", "", float64((after-before).Microseconds())/float64(rows))
	return err
}

// nearest compares GEOSEARCH, by Redis's own account of how long it took, with our marks in memory, by the CPU time of the
// thread that searches while another one changes which sites are free.
func (r *runner) nearest(ctx context.Context) error {
	postcodes, err := geo.EmbeddedPostcodes()
	if err != nil {
		return err
	}
	sites, err := sitesOf(nearestSites)
	if err != nil {
		return err
	}
	dice := rand.New(rand.NewPCG(7, 9))
	points, origins, free := make([]geo.Point, nearestSites), make([]geo.Point, nearestOrigins), make([]bool, nearestSites)
	for i := range points {
		points[i] = geo.Point{Lat: sites[i].Lat, Lon: sites[i].Lon}
		free[i] = dice.IntN(100) < nearestFree
	}
	for i := range origins {
		origins[i] = postcodes.At(dice.IntN(postcodes.Len())).Point
	}
	all, few, err := geosearch(ctx, r.redis, points, free, origins)
	if err != nil {
		return err
	}
	own, allocations, err := ownSearch(points, free, origins)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("10 of %d sites within %d km", nearestSites, nearestMetres/1000)
	r.part("GEOSEARCH", "µs", what+"; it cannot tell which are free", all)
	r.part("GEOSEARCH among a key of the free", "µs", what+fmt.Sprintf(", %d %% free; each change is one more command", nearestFree), few)
	r.part("our search", "µs", what+fmt.Sprintf(", %d %% free, %d changes a second meanwhile", nearestFree, nearestChanges), own)
	r.part("our search, allocations", "objects", "", allocations)
	return nil
}

// geosearch answers the microseconds of a GEOSEARCH in a key of all sites, and in one of those that are free.
func geosearch(ctx context.Context, client *redis.Client, points []geo.Point, free []bool, origins []geo.Point) (all, few float64, err error) {
	keys := []string{"bench:geo:all", "bench:geo:free"}
	defer func() { err = errors.Join(err, client.Del(ctx, keys...).Err()) }()
	pipe := client.Pipeline()
	for i, p := range points {
		location := &redis.GeoLocation{Name: strconv.Itoa(i), Latitude: p.Lat, Longitude: p.Lon}
		pipe.GeoAdd(ctx, keys[0], location)
		if free[i] {
			pipe.GeoAdd(ctx, keys[1], location)
		}
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return 0, 0, err
	}
	var micros [2]float64
	for i, key := range keys {
		calls, before, err := commandStat(ctx, client)
		if err != nil {
			return 0, 0, err
		}
		for chunk := range slices.Chunk(origins, 64) {
			pipe := client.Pipeline()
			for _, o := range chunk {
				pipe.GeoSearch(ctx, key, &redis.GeoSearchQuery{Longitude: o.Lon, Latitude: o.Lat, Radius: nearestMetres, RadiusUnit: "m",
					Sort: "ASC", Count: 10})
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return 0, 0, err
			}
		}
		called, after, err := commandStat(ctx, client)
		if err != nil || called-calls != float64(len(origins)) {
			return 0, 0, errors.Join(err, fmt.Errorf("of %d searches Redis counted %g", len(origins), called-calls))
		}
		micros[i] = (after - before) / (called - calls)
	}
	return micros[0], micros[1], nil
}

// commandStat is how often GEOSEARCH was called, and for how many microseconds.
func commandStat(ctx context.Context, client *redis.Client) (calls, micros float64, err error) {
	info, err := client.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, 0, err
	}
	_, rest, ok := strings.Cut(info, "cmdstat_geosearch:")
	if !ok {
		return 0, 0, nil
	}
	_, err = fmt.Sscanf(rest, "calls=%g,usec=%g", &calls, &micros)
	return calls, micros, err
}

// ownSearch answers the microseconds and the allocations of a search.
func ownSearch(points []geo.Point, free []bool, origins []geo.Point) (micros, allocations float64, err error) {
	places := make([]geo.Place, len(points))
	for i, p := range points {
		places[i] = geo.Place{Position: int32(i), Point: p}
	}
	index, err := geo.NewIndex(places)
	if err != nil {
		return 0, 0, err
	}
	marks := index.Marks()
	for i, f := range free {
		if !f {
			marks.Unset(int32(i))
		}
	}
	stop := make(chan struct{})
	var changing sync.WaitGroup
	changing.Go(func() { change(marks, slices.Clone(free), stop) })
	const rounds = 64
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	dst := make([]geo.Neighbour, 0, 10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := ownThreadCPU()
	for range rounds {
		for _, o := range origins {
			dst = marks.NearestK(o, nearestMetres, 10, dst[:0])
		}
	}
	took := ownThreadCPU() - began
	runtime.ReadMemStats(&after)
	close(stop)
	changing.Wait()
	searches := float64(rounds * len(origins))
	return took.Seconds() * 1e6 / searches, float64(after.Mallocs-before.Mallocs) / searches, nil
}

// change fills one site and frees another, again and again.
func change(marks *geo.Marks, free []bool, stop <-chan struct{}) {
	ticks := time.NewTicker(time.Second * 20 / nearestChanges)
	defer ticks.Stop()
	dice := rand.New(rand.NewPCG(11, 13))
	for {
		select {
		case <-stop:
			return
		case <-ticks.C:
		}
		for range 10 {
			filled, freed := anyWith(dice, free, true), anyWith(dice, free, false)
			free[filled], free[freed] = false, true
			marks.Unset(filled)
			marks.Set(freed)
		}
	}
}

// anyWith is a random position that has a value.
func anyWith(dice *rand.Rand, values []bool, value bool) int32 {
	for {
		if i := dice.IntN(len(values)); values[i] == value {
			return int32(i)
		}
	}
}
