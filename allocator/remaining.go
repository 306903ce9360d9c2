package allocator

import "context"

// builtAtOnce bounds how many sites one call of Remaining has built that nobody has asked for since the inventory was lost: the next
// calls go on. What such a site shows until then may be more than it has.
const builtAtOnce = 20

// Remaining is how many places of a service the public may book now, or once its booking opens, within a radius of a postcode,
// which may be an outward code alone; "": everywhere. It adds up what searches show, from this server's memory. Safe for
// concurrent use; it looks at every site in reach, so it is nothing to be called for each citizen.
func (a *Allocator) Remaining(ctx context.Context, code ServiceCode, postcode string, radiusMetres float64) (free int, err error) {
	service, err := a.knownService(ctx, code)
	if err != nil {
		return 0, err
	}
	key := a.keyOf(&service, 0, 0, 1, false, a.clock.Now())
	key.open = true
	points, toBuild := a.directory.near(), builtAtOnce
	if postcode == "" {
		for _, entry := range points.sites {
			if err := ctx.Err(); err != nil { // what was worked out is remembered, so the next call gets further
				return 0, ledgerError(err)
			}
			free += a.remainingAt(ctx, entry, &key, &toBuild)
		}
		return free, nil
	}
	_, lat, lon, _, err := a.Locate(postcode)
	if err != nil {
		return 0, err
	}
	list := foundLists.Get().(*[]PointFound)
	defer foundLists.Put(list)
	*list = points.all.Nearest(lat, lon, radiusMetres, max(1, len(points.sites)), (*list)[:0])
	for _, p := range *list {
		free += a.remainingAt(ctx, points.sites[p.Position], &key, &toBuild)
	}
	return free, nil
}

func (a *Allocator) remainingAt(ctx context.Context, entry *siteEntry, key *viewKey, toBuild *int) (free int) {
	v := entry.look(key, nil, 0)
	if v.first.Free > 0 && !v.trusted && *toBuild > 0 {
		*toBuild--
		a.ensureTrusted(ctx, entry)
		v = entry.look(key, nil, 0)
	}
	if v.offer != nil {
		for _, d := range v.offer.Days {
			free += d.Free
		}
	}
	return free
}
