package api

import "muster/allocator"

// DecodeCapacity reads one line as POST /v1/capacity takes it, as strictly. It keeps nothing of the line. The error is an
// *allocator.Error that names every fault.
func DecodeCapacity(line []byte) (allocator.PublishRequest, error) {
	d, o := decodeBody(line)
	o.only("siteId", "date", "ifMatch", "sessions")
	req := allocator.PublishRequest{Site: o.site("siteId"), IfMatch: lineRevision(o)}
	req.Date, _ = o.date("date", required)
	req.Day = allocator.Day{Site: req.Site, Date: req.Date, Sessions: decodeSessions(o)}
	return req, d.fail()
}
