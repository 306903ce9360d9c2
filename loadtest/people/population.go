package people

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
)

//go:embed population.csv
var population string

// Attribution is what the licence of the ages asks to be shown.
const Attribution = "Ages: Office for National Statistics, mid-2020 population estimates for England and Wales, licensed under the " +
	"Open Government Licence v3.0."

// oldest stands for all who are as old or older.
const oldest = 90

// Ages is how many people there are of each age.
type Ages struct {
	youngest int
	sums     []int // of the people up to each age from youngest on
}

// AgesBetween reads the population of some ages; 90 stands for all who are older too.
func AgesBetween(youngest, last int) (*Ages, error) {
	if youngest < 0 || last > oldest || youngest > last {
		return nil, fmt.Errorf("ages from %d to %d are not within 0 and %d", youngest, last, oldest)
	}
	a := &Ages{youngest: youngest}
	sum := 0
	for i, line := range strings.Split(strings.TrimSpace(population), "\n") {
		if i == 0 {
			continue // the header
		}
		text, count, _ := strings.Cut(strings.TrimSpace(line), ",")
		age, err := strconv.Atoi(strings.TrimSuffix(text, "+"))
		persons, err2 := strconv.Atoi(count)
		if err != nil || err2 != nil || age != i-1 {
			return nil, fmt.Errorf("population.csv, line %d: %q", i+1, line)
		}
		if age < youngest || age > last {
			continue
		}
		sum += persons
		a.sums = append(a.sums, sum)
	}
	if len(a.sums) != last-youngest+1 {
		return nil, fmt.Errorf("population.csv has %d of the ages from %d to %d", len(a.sums), youngest, last)
	}
	return a, nil
}

// People is how many there are of these ages.
func (a *Ages) People() int { return a.sums[len(a.sums)-1] }

// Pick is the age of a person, by a throw of 0 ≤ throw < People().
func (a *Ages) Pick(throw int) int {
	for i, sum := range a.sums {
		if throw < sum {
			return a.youngest + i
		}
	}
	return a.youngest + len(a.sums) - 1
}
