package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// client is one of a load's, with a connection of its own and what it was told. Not safe for concurrent use.
type client struct {
	*load
	*connection
	content    []byte // of the request under way
	held       []string
	references []name
	unknown    int
}

// flow is one hold and, mostly, its confirm. began is when it was planned, or sent.
func (c *client) flow(began time.Time) error {
	number, person := c.person()
	hold, err := c.hold(c.choose(), number)
	if err != nil {
		return err
	}
	c.time(&c.holds, began, 1)
	if !c.confirms {
		return nil
	}
	began = time.Now()
	if err := c.confirm(hold, person); err != nil {
		return err
	}
	c.time(&c.confirmed, began, 1)
	return nil
}

func (c *client) person() (number int64, nhs [10]byte) {
	for {
		number = c.persons.Add(1)
		if nhs, ok := nhsNumber(number); ok {
			return number, nhs
		}
	}
}

var errFull = errors.New("no place is free")

// hold asks for a place at a slot and returns the hold's name. A number below 0 gives no key.
func (c *client) hold(p place, number int64) (string, error) {
	c.content = append(appendClaim(append(c.content[:0], '{'), p), '}')
	c.request("POST", "/v1/holds")
	if number >= 0 {
		c.out = append(append(append(c.out, "Idempotency-Key: "...), c.keys...), "-"...)
		c.out = append(strconv.AppendInt(c.out, number, 36), "\r\n"...)
	}
	c.json(c.content)
	status, body, err := c.send(c.out)
	if err = created(status, body, err); err != nil {
		if status == 409 {
			err = errors.Join(errFull, err)
		}
		return "", fmt.Errorf("hold at %s: %w", p.site, err)
	}
	hold := field(body, `"holdId":"`)
	if len(hold) == 0 || !plain(hold) {
		return "", fmt.Errorf("a hold was answered %s", body)
	}
	return string(hold), nil
}

func (c *client) confirm(hold string, person [10]byte) error {
	c.content = append(appendPeople(append(c.content[:0], '{'), person), '}')
	c.request("POST", "/v1/holds/", hold, "/confirm")
	c.json(c.content)
	status, body, err := c.send(c.out)
	if err != nil || status >= 500 {
		c.unknown++
	}
	if err = created(status, body, err); err != nil {
		return fmt.Errorf("confirm: %w", err)
	}
	return c.booked(field(body, `"reference":"`))
}

// booked takes note of an acknowledged booking.
func (c *client) booked(reference []byte) error {
	n, ok := nameOf(reference)
	if !ok {
		return fmt.Errorf("a confirm was answered with the reference %.100q", reference)
	}
	c.references = append(c.references, n)
	return nil
}

// release gives a hold back.
func (c *client) release(hold string) error {
	c.request("DELETE", "/v1/holds/", hold)
	status, body, err := c.send(append(c.out, "\r\n"...))
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("status %d: %.300s", status, body)
	}
	return err
}

// batch is as many flows as a request takes, in two requests. It answers how many were booked, and why others were not.
func (c *client) batch(began time.Time) (int, error) {
	numbers := c.content[:0]
	numbers = append(numbers, `{"holds":[`...)
	for i := range c.perRequest {
		if i > 0 {
			numbers = append(numbers, ',')
		}
		number, _ := c.person() // for the key; the person who confirms may be another one
		numbers = append(append(append(numbers, `{"idempotencyKey":"`...), c.keys...), '-')
		numbers = append(strconv.AppendInt(numbers, number, 36), `",`...)
		numbers = append(appendClaim(numbers, c.choose()), '}')
	}
	c.content = append(numbers, "]}"...)
	body, fault := c.many("/v1/holds:batch", c.content)
	if body == nil {
		return 0, fault
	}
	c.held = c.held[:0]
	each(body, `"holdId":"`, func(id []byte) { c.held = append(c.held, string(id)) })
	if len(c.held) < c.perRequest {
		problem, _ := problemsIn(body)
		fault = fmt.Errorf("holds: %s", problem)
	}
	if len(c.held) == 0 {
		return 0, fault
	}
	c.time(&c.holds, began, int64(len(c.held)))
	booked, err := c.confirmAll()
	return booked, errors.Join(fault, err)
}

// confirmAll confirms what is held.
func (c *client) confirmAll() (booked int, err error) {
	content := append(c.content[:0], `{"confirmations":[`...)
	for i, hold := range c.held {
		if i > 0 {
			content = append(content, ',')
		}
		_, person := c.person()
		content = append(append(append(content, `{"holdId":"`...), hold...), `",`...)
		content = append(appendPeople(content, person), '}')
	}
	c.content = append(content, "]}"...)
	began := time.Now()
	body, err := c.many("/v1/confirmations:batch", c.content)
	if body == nil {
		c.unknown += len(c.held)
		return 0, err
	}
	each(body, `"reference":"`, func(reference []byte) {
		if fault := c.booked(reference); fault != nil {
			err = fault
			return
		}
		booked++
	})
	if booked < len(c.held) {
		problem, unknown := problemsIn(body)
		c.unknown += unknown
		err = errors.Join(err, fmt.Errorf("confirms: %s", problem))
	}
	c.time(&c.confirmed, began, int64(booked))
	return booked, err
}

// many sends a batch; nil where it was refused as a whole.
func (c *client) many(path string, content []byte) ([]byte, error) {
	c.request("POST", path)
	c.json(content)
	status, body, err := c.send(c.out)
	if err == nil && status != 200 {
		err = fmt.Errorf("%s: status %d: %.300s", path, status, body)
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

// problemsIn is the first problem of a batch's results, and how many are of the kind that leaves the outcome open.
func problemsIn(body []byte) (first string, open int) {
	var reply struct {
		Results []struct {
			Status  int
			Problem json.RawMessage
		}
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return err.Error(), 0
	}
	for _, r := range reply.Results {
		if r.Problem != nil && first == "" {
			first = string(r.Problem)
		}
		if r.Status >= 500 {
			open++
		}
	}
	return first, open
}

func appendClaim(text []byte, p place) []byte {
	text = append(append(text, `"siteId":"`...), p.site...)
	text = append(append(text, `","service":"`+service+`","start":"`...), p.start...)
	return strconv.AppendInt(append(text, `","length":`...), slotMinutes, 10)
}

func appendPeople(text []byte, person [10]byte) []byte {
	text = append(append(text, `"people":[{"nhsNumber":"`...), person[:]...)
	return append(text, `","givenName":"Ada","familyName":"Example","dateOfBirth":"1948-05-17"}]`...)
}

// created is an error where an answer says anything else.
func created(status int, body []byte, err error) error {
	if err == nil && status != 201 {
		return fmt.Errorf("status %d: %.300s", status, body)
	}
	return err
}

// field reads a string that has no escapes out of JSON, by what stands before it.
func field(body []byte, before string) []byte {
	at := bytes.Index(body, []byte(before))
	if at < 0 {
		return nil
	}
	value, _, ok := bytes.Cut(body[at+len(before):], []byte{'"'})
	if !ok {
		return nil
	}
	return value
}

// each calls found with every such field.
func each(body []byte, before string, found func(value []byte)) {
	for {
		at := bytes.Index(body, []byte(before))
		if at < 0 {
			return
		}
		value, rest, _ := bytes.Cut(body[at+len(before):], []byte{'"'})
		found(value)
		body = rest
	}
}

// plain says whether a text can stand in a path as it is.
func plain(text []byte) bool {
	for _, b := range text {
		switch {
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9', b == '-', b == '.', b == '_', b == '~':
		default:
			return false
		}
	}
	return true
}
