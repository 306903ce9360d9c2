package baseline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/redis/go-redis/v9"
)

// commands keeps holds in Redis without a script: a list of the free places of each slot, and a sorted set of its holds by
// deadline. Each step is one command that only one caller can succeed with, so that nothing must be watched and a crowd at
// one slot never repeats a transaction:
//
//	hold     LPOP free; ZADD holds deadline "place-secret"
//	lapsed   ZRANGE holds BYSCORE, then ZREM: who removes the member has the place
//	confirm  ZREM holds "place-secret": who removes it may book
//
// What a script would do better: a server that is killed between the two commands of a hold loses that place, the clock is
// the server's own, and a place that is back is not the lowest.
type commands struct {
	pool   *pgxpool.Pool
	client *redis.Client
	prefix string
}

// A secret has no hyphen, so a member parses back into both.
func member(place, secret string) string { return place + "-" + secret }

func newCommands(ctx context.Context, pool *pgxpool.Pool, url string) (*commands, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, fmt.Errorf("the address of Redis is no URL: %w", err)
	}
	options.PoolSize = 2 * connections
	s := &commands{pool: pool, client: redis.NewClient(options)}
	if err := pool.QueryRow(ctx, "SELECT current_database()").Scan(&s.prefix); err != nil {
		return nil, errors.Join(err, s.client.Close())
	}
	return s, nil
}

// fillLists pushes the places of every slot. The database's name keeps the keys of two runs apart.
func fillLists(ctx context.Context, c *pgx.Conn, url string, slots []Slot) error {
	s := commands{}
	if err := c.QueryRow(ctx, "SELECT current_database()").Scan(&s.prefix); err != nil {
		return err
	}
	options, err := redis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("the address of Redis is no URL: %w", err)
	}
	client := redis.NewClient(options)
	defer client.Close()
	const most = 10_000 // places of a command, and commands of a pipeline
	pipe := client.Pipeline()
	for i, slot := range slots {
		for from := 1; from <= slot.Capacity; from += most {
			var places []any
			for place := from; place < min(from+most, slot.Capacity+1); place++ {
				places = append(places, place)
			}
			pipe.RPush(ctx, s.free(int32(i+1)), places...)
		}
		if pipe.Len() >= most || i == len(slots)-1 {
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *commands) free(slot int32) string {
	return s.prefix + ":{" + strconv.Itoa(int(slot)) + "}:free"
}
func (s *commands) held(slot int32) string {
	return s.prefix + ":{" + strconv.Itoa(int(slot)) + "}:holds"
}

func (s *commands) hold(ctx context.Context, slot int32) (string, error) {
	place, err := s.client.LPop(ctx, s.free(slot)).Result()
	if errors.Is(err, redis.Nil) {
		place, err = s.takeLapsed(ctx, slot)
	}
	if err != nil {
		return "", err
	}
	secret := random()
	deadline := time.Now().Add(HoldSeconds * time.Second).UnixMilli()
	if err := s.client.ZAdd(ctx, s.held(slot), redis.Z{Score: float64(deadline), Member: member(place, secret)}).Err(); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d-%s", slot, member(place, secret)), nil
}

// takeLapsed takes the place of a hold that has lapsed, unless others are faster a few times.
func (s *commands) takeLapsed(ctx context.Context, slot int32) (string, error) {
	for range 5 {
		now := strconv.FormatInt(time.Now().UnixMilli(), 10)
		lapsed, err := s.client.ZRangeArgs(ctx, redis.ZRangeArgs{Key: s.held(slot), Start: "-inf", Stop: now, ByScore: true, Count: 1}).Result()
		if err != nil {
			return "", err
		}
		if len(lapsed) == 0 {
			break
		}
		removed, err := s.client.ZRem(ctx, s.held(slot), lapsed[0]).Result()
		if err != nil {
			return "", err
		}
		if place, _, _ := strings.Cut(lapsed[0], "-"); removed == 1 {
			return place, nil
		}
	}
	return "", errFull
}

// A refused person's place goes back; where the outcome is unknown, it stays away.
func (s *commands) confirm(ctx context.Context, hold, reference string, p person) error {
	slot, place, secret, err := parseHold(hold)
	if err != nil {
		return err
	}
	removed, err := s.client.ZRem(ctx, s.held(slot), member(strconv.Itoa(int(place)), secret)).Result()
	switch {
	case err != nil:
		return err
	case removed == 0:
		return errExpired
	}
	err = booked(s.pool.Exec(ctx, bookRow, reference, slot, place, p.NHSNumber, p.GivenName, p.FamilyName, p.DateOfBirth))
	if errors.Is(err, errPerson) {
		err = errors.Join(err, s.client.RPush(ctx, s.free(slot), place).Err())
	}
	return err
}

func (s *commands) close() {
	s.pool.Close()
	if err := s.client.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "closing Redis:", err)
	}
}
