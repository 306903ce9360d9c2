// Package callers decides how much each caller may ask of a server that anybody may call. It knows nothing of HTTP and reads no
// clock: who calls and when goes in, a decision comes out.
//
// # Who a caller is
//
// Nobody is logged in, so a caller is what can be seen of it: the address, of which a carrier's or a hospital's stands for
// thousands of people and a household's for a few; a visitor's ticket, which the server signed and gave away for nothing; the
// client of an access token; and at the confirm the person. A ticket alone proves nothing, because anybody gets as many as they
// like. It makes people behind one address tell apart, and what they did can be written on it.
//
// # Debt
//
// A hold is a debt of the address and of the visitor until it is redeemed by a confirm. Debts decay slowly, and an address may
// have so many. So an address is allowed what it redeems:
//
//   - each person that is booked takes two holds off the debt, and one more may be out at once: an address is allowed in
//     proportion to the distinct people behind it who do what the service is for, and does not owe more with every day as long
//     as half of its holds are redeemed;
//   - holds that lapse stay on the account. The debt is written when the hold is granted and there is nothing to do when it
//     lapses, so nothing has to be kept for each hold, and it does not matter which of several servers sees the confirm: each
//     sees as large a share of an address's confirms as of its holds.
//
// A visitor's holds cost twice as much for each one that was not redeemed lately, so the pause after an abandoned hold doubles
// from seconds to ten minutes. And a visitor has one live hold of a service: another one takes its place, so that whoever goes
// back and chooses again is never in their own way.
//
// # Proof of work
//
// An address that is through with its allowance is not shut: its visitors are asked for a proof of work, each once in half an
// hour. The price doubles with the address's debt, so a carrier's five thousand people pay seconds at the worst, and whoever
// wants five thousand holds at once pays for all of them. When the server has much to do, or when few holds are redeemed,
// everybody is asked, and the price rises with both. Somebody who was booked is not asked.
//
// A proof is work for a computer and nothing to solve for people. It cannot tell one computer from five thousand: it makes
// abuse cost something, and no more. What bounds abuse is that debts are only paid by booking people.
//
// # Memory
//
// It is fixed, whatever comes: a meter that is full hands its least debt on to whoever comes, and the list of live holds forgets
// the oldest. Keys are hashed by a seed that is new with each process, so nobody can choose whose place to take, and no address
// and no person can be read out.
package callers
