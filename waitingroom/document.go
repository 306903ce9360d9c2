package waitingroom

import (
	"encoding/json"
	"fmt"
	"time"

	"muster/allocator"
)

// documentName is under which the servers share their document.
const documentName = "waiting-rooms"

// document is what the servers share. Only a document that was stored is acted on.
type document struct {
	Rooms   map[allocator.ServiceCode]*Room `json:"rooms,omitempty"`
	Servers map[string]report               `json:"servers,omitempty"`
}

// report is the last one of a server: all its arrivals before At are counted.
type report struct {
	Number int64   `json:"number"`
	At     Instant `json:"at"`
}

const (
	awaited   = 10 * time.Second // the frontier waits for the reports of servers that reported within this time
	forgotten = time.Hour        // after this a server's number is of no use
)

func readDocument(text []byte) (*document, error) {
	d := new(document)
	if err := json.Unmarshal(text, d); err != nil {
		return nil, fmt.Errorf("the document of waiting rooms: %w", err)
	}
	return d, nil
}

func (d *document) write() []byte {
	text, err := json.Marshal(d)
	if err != nil {
		panic(err) // numbers, times and strings are always JSON
	}
	return text
}

// anyOn says whether any room needs to be looked after.
func (d *document) anyOn() bool {
	for _, r := range d.Rooms {
		if r.Mode != Off {
			return true
		}
	}
	return false
}

// safe is the instant up to which all servers have told their arrivals.
func (d *document) safe(now Instant) Instant {
	safe := now
	for _, r := range d.Servers {
		if now.since(r.At) < awaited {
			safe = min(safe, r.At)
		}
	}
	return safe
}

// batch is what one server counted since its last report.
type batch struct {
	number int64
	at     Instant // all arrivals before are in this batch or an earlier one
	rooms  map[RoomID]*tally
}

// tally is what happened in a room.
type tally struct {
	crowd  Crowd
	cell   cell
	placed map[Instant]int // people who held their first place, by when they entered, to a cell
}

// landed says whether a server's batch is in the document already.
func (d *document) landed(server string, b *batch) bool { return d.Servers[server].Number >= b.number }

// count adds a server's batch, once.
func (d *document) count(server string, b *batch, now Instant) {
	if d.landed(server, b) {
		return
	}
	for _, r := range d.Rooms {
		t := b.rooms[r.ID]
		if t == nil {
			continue
		}
		t.crowd.forget(r.Frontier) // who was passed before they were told of does not wait
		r.Crowd.join(&t.crowd)
		r.roll(now)
		r.Cells[len(r.Cells)-1].join(&t.cell)
		r.Held += int64(t.cell.Held)
		for entered, people := range t.placed {
			r.place(entered, people)
		}
	}
	if d.Servers == nil {
		d.Servers = make(map[string]report)
	}
	d.Servers[server] = report{b.number, b.at}
	for name, r := range d.Servers {
		if now.since(r.At) > forgotten {
			delete(d.Servers, name)
		}
	}
}
