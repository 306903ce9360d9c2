package crash

import (
	"slices"
	"sync"
)

// life is what people do at one site all day: each kind of errand once, some of them at the same time, some of them for
// places and people that cannot both be had.
func (c *course) life(to at) {
	d, site, n := c.desk, c.common.id, int(c.desk.serial.Add(1))
	reversed := at{servers: slices.Clone(to.servers)}
	slices.Reverse(reversed.servers)
	var errands sync.WaitGroup
	errands.Go(func() { // one books and cancels, another books, extends and moves
		d.cancel(to, d.book(to, d.claims(site, serviceA, n)))
		h := d.hold(to, d.claims(site, serviceA, n+1))
		if h == nil {
			return
		}
		d.extend(to, h)
		who := d.somebody()
		if booked := d.confirm(to, h, nil, who); len(booked) == 1 {
			d.confirm(to, d.hold(to, d.claims(site, serviceA, n+2)), &booked[0], who)
		}
	})
	errands.Go(func() { // one confirms twice at once, on two servers, and then wants a second booking
		if h := d.hold(to, d.claims(site, serviceA, n+3)); h != nil {
			who := d.somebody()
			var twice sync.WaitGroup
			twice.Go(func() { d.confirm(to, h, nil, who) })
			twice.Go(func() { d.confirm(reversed, h, nil, who) })
			twice.Wait()
			d.confirm(to, d.hold(to, d.claims(site, serviceA, n+4)), nil, who)
		}
		if h := d.hold(to, d.claims(site, serviceA, n+4)); h != nil {
			d.release(to, h)
		}
	})
	for i := range 4 { // four want what three can have
		errands.Go(func() { d.book(inTurn(to, i), d.claims(site, serviceB, n+5)) })
	}
	errands.Go(func() { // a family over two slots, somebody at the counter, and the publisher
		family := d.hold(to, append(d.claims(site, serviceA, n+6), d.claims(site, serviceB, n+7)...))
		d.confirm(to, family, nil, d.somebody(), d.somebody())
		d.walkIn(to, d.claims(site, serviceA, n+8)[0])
		d.publish(to, c.common, 5+n%2)
	})
	errands.Wait()
}

// inTurn begins with another server each time.
func inTurn(to at, i int) at {
	i %= len(to.servers)
	return at{servers: append(slices.Clone(to.servers[i:]), to.servers[:i]...)}
}
