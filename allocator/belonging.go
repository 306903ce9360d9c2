package allocator

import "context"

// This file says whose sites a caller may work at. A caller that is bound to an organisation has the sites whose Publisher
// that is; what is another's is answered exactly as what does not exist. The HTTP interface asks too, before it looks at a
// request; here it is asked again, where the work is done.

// Sees says whether the site is one that the caller may work at.
func (c Caller) Sees(site *Site) bool {
	return !c.Bound || c.Organisation != "" && c.Organisation == site.Publisher
}

// at is the caller as a site knows it: whoever works elsewhere is a member of the public there.
func (c Caller) at(entry *siteEntry) Caller {
	c.Staff = c.Staff && c.Sees(&entry.sheet.Load().Site)
	return c
}

// errSiteUnknown is the one answer for a site that does not exist and for one that is not the caller's.
func errSiteUnknown() error { return Refuse(CodeSiteUnknown, "no such site") }

// ownSite finds a site that the caller may work at.
func (a *Allocator) ownSite(ctx context.Context, id SiteID, caller Caller) (*siteEntry, error) {
	entry, err := a.knownSite(ctx, id)
	if err != nil {
		return nil, err
	}
	if !caller.Sees(&entry.sheet.Load().Site) {
		return nil, errSiteUnknown()
	}
	return entry, nil
}

// DecideSite completes the details that are to replace stored ones (nil: there are none), for a ledger to write. A site
// keeps its suspensions, and one that names no publisher keeps the one it has. Where own is set, the site is written by its publisher: what belongs to
// anyone else, or to nobody, is refused with CodeSiteUnknown.
func DecideSite(stored, site *Site, own bool) error {
	if site.Suspended = nil; stored != nil {
		site.Suspended = stored.Suspended
	}
	switch {
	case own && site.Publisher == "":
		return errSiteUnknown()
	case stored == nil:
	case own && stored.Publisher != site.Publisher:
		return errSiteUnknown()
	case site.Publisher == "":
		site.Publisher = stored.Publisher
	}
	return nil
}

// DecideStoredSite is DecideSite with the stored site as EncodeSite wrote it; "" where there is none.
func DecideStoredSite(stored string, site *Site, own bool) error {
	if stored == "" {
		return DecideSite(nil, site, own)
	}
	before, err := DecodeSite([]byte(stored))
	if err != nil {
		return err
	}
	return DecideSite(&before, site, own)
}
