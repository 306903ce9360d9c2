package people

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"muster/geo"
	"muster/loadtest/profile"
)

// Crowd makes citizens. Immutable, and safe for concurrent use.
type Crowd struct {
	seed      uint64
	postcodes *geo.Postcodes
	ages      *Ages
	mix       profile.Mix
	think     time.Duration
	today     time.Time
}

// Options are of whom a crowd consists.
type Options struct {
	Seed             uint64
	Postcodes        *geo.Postcodes
	Youngest, Oldest int
	Mix              profile.Mix
	Think            time.Duration // how long people look at a page in the middle; 0: they do not
	Today            time.Time     // for dates of birth
}

// NewCrowd checks the options.
func NewCrowd(o Options) (*Crowd, error) {
	ages, err := AgesBetween(o.Youngest, o.Oldest)
	if err == nil {
		err = o.Mix.Validate()
	}
	switch {
	case err != nil:
		return nil, err
	case o.Postcodes == nil || o.Postcodes.Len() == 0:
		return nil, errors.New("people without postcodes live nowhere")
	case o.Think < 0:
		return nil, fmt.Errorf("nobody thinks for %v", o.Think)
	}
	return &Crowd{o.Seed, o.Postcodes, ages, o.Mix, o.Think, o.Today}, nil
}

// Citizen is one person at a screen.
type Citizen struct {
	Number     uint64
	Postcode   string
	Home       geo.Point
	Age        int
	BirthDate  string // YYYY-MM-DD
	GivenName  string
	FamilyName string
	NHSNumber  string
	Journey    profile.Journey
	Family     int // people to book for: 1, or 2 to 4
	Dice       *rand.Rand
	think      time.Duration
	crowd      *Crowd
}

// Citizen makes the nth person. The same crowd makes the same one again, with the same dice.
func (c *Crowd) Citizen(n uint64) *Citizen {
	dice := rand.New(rand.NewPCG(c.seed, n))
	p := &Citizen{Number: n, Dice: dice, think: c.think, crowd: c, NHSNumber: NHSNumber(c.seed, n*maxFamily)}
	p.Postcode, p.Home = c.home(dice)
	p.Age = c.ages.Pick(dice.IntN(c.ages.People()))
	p.BirthDate = c.birthDate(dice, p.Age)
	p.GivenName, p.FamilyName = givenNames[dice.IntN(len(givenNames))], familyNames[dice.IntN(len(familyNames))]
	p.Journey = c.mix.Pick(dice.Float64())
	p.Family = 1
	if p.Journey == profile.Family {
		p.Family = 2 + dice.IntN(maxFamily-1)
	}
	return p
}

// maxFamily is how many NHS numbers belong to a citizen.
const maxFamily = 4

// home draws a postcode of England.
func (c *Crowd) home(dice *rand.Rand) (string, geo.Point) {
	for range 1000 {
		if at := c.postcodes.At(dice.IntN(c.postcodes.Len())); inEngland(at.Postcode) {
			return at.Postcode, at.Point
		}
	}
	at := c.postcodes.At(dice.IntN(c.postcodes.Len())) // a set of postcodes without England: these will do
	return at.Postcode, at.Point
}

// elsewhere are the areas of Scotland, Wales, Northern Ireland and the islands. Areas across the border count as English.
var elsewhere = strings.Fields("AB BT CF DD DG EH FK G GY HS IM IV JE KA KW KY LD LL ML NP PA PH SA TD ZE")

func inEngland(postcode string) bool {
	area := strings.TrimRightFunc(postcode[:min(2, len(postcode))], func(r rune) bool { return r >= '0' && r <= '9' })
	for _, other := range elsewhere {
		if area == other {
			return false
		}
	}
	return true
}

func (c *Crowd) birthDate(dice *rand.Rand, age int) string {
	birthday := c.today.AddDate(-age, 0, -dice.IntN(364)-1)
	return birthday.Format(time.DateOnly)
}

// Member is one of the citizen's family; the citizen is the first. Each has an NHS number, name and date of birth of their own,
// and the citizen's age, so that one service suits all.
func (p *Citizen) Member(i int) (nhsNumber, givenName, birthDate string) {
	if i == 0 {
		return p.NHSNumber, p.GivenName, p.BirthDate
	}
	dice := rand.New(rand.NewPCG(p.crowd.seed^0x6661_6d69_6c79, p.Number*maxFamily+uint64(i)))
	return NHSNumber(p.crowd.seed, p.Number*maxFamily+uint64(i)), givenNames[dice.IntN(len(givenNames))], p.crowd.birthDate(dice, p.Age)
}

// Think throws how long the citizen looks at a page: most take about as long as the crowd's think time, some much longer
// (log-normal, sigma 0.6, at most eight times it).
func (p *Citizen) Think() time.Duration {
	return time.Duration(float64(p.think) * math.Min(8, math.Exp(0.6*p.Dice.NormFloat64())))
}

// Names are frequent ones, of people who do not exist.
var (
	givenNames = strings.Fields("Ada Amir Amelia Arthur Beatrice Carys Daniel Edith Farah George Grace Harriet Ivy Jack Leila Mohammed " +
		"Nia Noah Olivia Oscar Priya Ravi Rosa Samuel Sofia Theo Wei Yusuf Zara Zofia")
	familyNames = strings.Fields("Ahmed Allen Begum Brown Campbell Clarke Davies Evans Green Hall Hughes Jackson Jones Kaur Khan Kowalski " +
		"Lewis Li Miller Murphy Patel Roberts Shah Singh Smith Taylor Walker White Williams Wright")
)
