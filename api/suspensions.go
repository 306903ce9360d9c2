package api

import (
	"context"

	"muster/allocator"
)

type suspensionView struct {
	Service allocator.ServiceCode `json:"service"`
	Until   string                `json:"until,omitempty"`
	Reason  string                `json:"reason,omitempty"`
}

type suspendedView struct {
	Service  allocator.ServiceCode `json:"service"`
	Changed  bool                  `json:"changed"`
	Days     int                   `json:"days"`
	Bookings int                   `json:"bookings"`
	Free     int                   `json:"free"`
}

func (s *Server) listSuspensions(ctx context.Context, x *exchange) (reply, error) {
	site, err := x.onlySite()
	if err != nil {
		return reply{}, err
	}
	suspensions, err := s.engine.Suspensions(ctx, site, x.caller())
	if err != nil {
		return reply{}, err
	}
	views := make([]suspensionView, len(suspensions))
	for i, u := range suspensions {
		views[i] = suspensionView{Service: u.Service, Reason: u.Reason}
		if u.Until != 0 {
			views[i].Until = u.Until.String()
		}
	}
	return reply{body: map[string]any{"suspensions": views}}, nil
}

// suspendService stops new bookings of a service at a site.
func (s *Server) suspendService(ctx context.Context, x *exchange) (reply, error) {
	req, err := x.suspensionRequest()
	if err != nil {
		return reply{}, err
	}
	d, o := x.document(optional)
	o.only("service", "until", "reason")
	o.same("service", string(req.Suspension.Service))
	req.Suspension.Until, _ = o.date("until", optional)
	req.Suspension.Reason = o.text("reason", optional, allocator.MaxNameBytes)
	if err := d.fail(); err != nil {
		return reply{}, err
	}
	return s.suspend(ctx, req)
}

// resumeService lets a suspended service be booked again.
func (s *Server) resumeService(ctx context.Context, x *exchange) (reply, error) {
	req, err := x.suspensionRequest()
	if err != nil {
		return reply{}, err
	}
	if err := x.input().fail(); err != nil {
		return reply{}, err
	}
	req.Resume = true
	return s.suspend(ctx, req)
}

// suspensionRequest reads all of a request but its body; faults of path and query stay in the exchange's decoder.
func (x *exchange) suspensionRequest() (allocator.SuspensionRequest, error) {
	site, err := x.siteID()
	if err != nil {
		return allocator.SuspensionRequest{}, err
	}
	code := allocator.ServiceCode(x.param("service"))
	q := x.query("dryRun")
	if !code.Valid() {
		return allocator.SuspensionRequest{}, allocator.Refuse(allocator.CodeServiceUnknown, "no such service")
	}
	return allocator.SuspensionRequest{
		Caller: x.caller(), Site: site, Suspension: allocator.Suspension{Service: code}, DryRun: q.boolean("dryRun"),
	}, nil
}

func (s *Server) suspend(ctx context.Context, req allocator.SuspensionRequest) (reply, error) {
	done, err := s.engine.Suspend(ctx, req)
	if err != nil {
		return reply{}, err
	}
	return reply{body: suspendedView{req.Suspension.Service, done.Changed, done.Days, done.Bookings, done.Free}}, nil
}
