package api

import "context"

// personAsked reads whom an operator asks about. The number comes in a body: addresses are written down by proxies.
func (x *exchange) personAsked() (nhsNumber string, err error) {
	x.query()
	d, o := x.document(required)
	o.only("nhsNumber")
	nhsNumber = o.text("nhsNumber", required, 20)
	return nhsNumber, d.fail()
}

// exportPerson answers all that is kept of a person.
func (s *Server) exportPerson(ctx context.Context, x *exchange) (reply, error) {
	number, err := x.personAsked()
	if err != nil {
		return reply{}, err
	}
	export, err := s.engine.ExportPerson(ctx, number, x.grant.caller())
	if err != nil {
		return reply{}, err
	}
	return reply{body: export}, nil
}

// erasePerson takes a person out of the bookings that are not still to come.
func (s *Server) erasePerson(ctx context.Context, x *exchange) (reply, error) {
	number, err := x.personAsked()
	if err != nil {
		return reply{}, err
	}
	done, err := s.engine.ErasePerson(ctx, number, x.grant.caller())
	if err != nil {
		return reply{}, err
	}
	return reply{body: done}, nil
}
