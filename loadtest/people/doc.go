// Package people makes the citizens of a load test: where they live, how old they are, who they are to the server, what they
// come to do and how long they think.
//
// All of a citizen follows from the seed and their number, so the same seed gives the same people in the same order, and
// several generators that share a seed can divide them without talking to each other. They live where people live: each
// postcode stands for about as many addresses, so postcodes are drawn evenly. They are as old as people are, by the Office for
// National Statistics' estimate of mid-2020 (population.csv: persons by single year of age, England and Wales; contains public
// sector information licensed under the Open Government Licence v3.0).
package people
