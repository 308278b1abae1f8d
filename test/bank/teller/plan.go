// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package teller

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Fault is what goes wrong with a transaction, or is asked for by its producer.
type Fault string

// The faults.
const (
	None          Fault = "none"
	RolledBack    Fault = "rollback"           // nothing goes wrong, its producer rolls back
	EndLost       Fault = "end-lost"           // the outcome is never told
	HalfLost      Fault = "half-answer-lost"   // the half message is sent again, or given up
	Late          Fault = "answer-late"        // the outcome is told after the first check
	Twice         Fault = "answered-twice"     // or oftener, at once or later
	Contradictory Fault = "contradictory"      // the other outcome follows the acknowledged one
	Unsure        Fault = "unknown"            // the producer does not know, also when asked first
	WrongEnd      Fault = "wrong-end"          // an outcome that names group or offsets wrongly comes first
	Died          Fault = "killed-after-local" // the process dies between decision and answer, see Doom
)

// Faults are all of them.
var Faults = []Fault{None, RolledBack, EndLost, HalfLost, Late, Twice, Contradictory, Unsure, WrongEnd, Died}

// Client says what a producer can do.
type Client string

// The clients.
const (
	Raw       Client = "raw"       // any fault, made on the wire
	Official  Client = "official"  // what the official client's callers can do
	Abandoned Client = "abandoned" // sends half messages and never decides
)

// Plan is what a producer process will do.
type Plan struct {
	Seed     uint64
	Producer int // below 100
	Client   Client
	// Of every Deaths transactions, a run of Doomed has the fault Died and ends
	// the process. Deaths is 0 for none.
	Deaths, Doomed int
}

// Transaction is what becomes of one.
type Transaction struct {
	Key    string
	Number int
	Fault  Fault
	Want   Outcome
	Queue  int32 // 0 to Queues-1
	Body   []byte
	// Last of a run of transactions with the fault Died.
	Last bool
	// Delay of Late, and before what follows the first answer of Twice and
	// Contradictory, where 0 means that nobody waits for that answer.
	Delay time.Duration
	// Times: how many answers of Twice, how often Unsure says so when asked.
	Times int
	// Again says whether a half message whose answer is lost is sent again, and
	// whether an outcome is told again that got no answer.
	Again bool
	// Variant, 0 to 3, picks among the ways to make the fault.
	Variant int
}

// Queues is how many queues the bank's topics have.
const Queues = 4

// weights say how many of 100 transactions get which fault.
var weights = map[Client][]struct {
	fault Fault
	of100 int
}{
	Raw:       {{None, 3}, {RolledBack, 9}, {EndLost, 11}, {HalfLost, 11}, {Late, 18}, {Twice, 12}, {Contradictory, 12}, {Unsure, 12}, {WrongEnd, 12}},
	Official:  {{None, 50}, {RolledBack, 20}, {Late, 10}, {Unsure, 20}},
	Abandoned: {{None, 100}},
}

// Transaction gives the one with a number, from 0.
func (p Plan) Transaction(number int) Transaction {
	rng := rand.New(rand.NewPCG(p.Seed, uint64(p.Producer)<<40|uint64(number)))
	t := Transaction{Key: Key(p.Producer, number), Number: number, Want: Commit}
	dice := rng.IntN(100)
	for _, w := range weights[p.Client] {
		if dice -= w.of100; dice < 0 {
			t.Fault = w.fault
			break
		}
	}
	if t.Fault == RolledBack || t.Fault != None && rng.IntN(100) < 40 {
		t.Want = Rollback
	}
	t.Queue = rng.Int32N(Queues)
	t.Body = fmt.Appendf(nil, "%s ", t.Key)
	for range rng.IntN(300) {
		t.Body = append(t.Body, byte('a'+rng.IntN(26)))
	}
	t.Variant, t.Again, t.Times = rng.IntN(4), rng.IntN(4) != 0, 1+rng.IntN(3)
	switch {
	case t.Fault == Late:
		t.Delay = time.Duration(1200+rng.IntN(2300)) * time.Millisecond
	case rng.IntN(2) == 0:
		t.Delay = time.Duration(rng.IntN(2500)) * time.Millisecond
	}
	if t.Fault == Unsure {
		t.Times = rng.IntN(3)
	}
	if at := p.run(number); at >= 0 {
		t.Fault, t.Last = Died, at == p.Doomed-1
	}
	return t
}

// run gives a number's place in its run of transactions with the fault Died, -1
// when it is in none. The producers have theirs at different places of the first
// half of every Deaths numbers, so that a short bank has one too, and what comes
// behind it lives long.
func (p Plan) run(number int) int {
	if p.Deaths == 0 {
		return -1
	}
	at := number%p.Deaths - (15+10*(p.Producer%4))*p.Deaths/100
	if at >= p.Doomed {
		return -1
	}
	return max(at, -1)
}

// Key is the name of a transaction.
func Key(producer, number int) string { return fmt.Sprintf("bank-%02d-%08d", producer, number) }

// KeyOf gives the name of the transaction that a body belongs to.
func KeyOf(body []byte) string {
	key, _, _ := strings.Cut(string(body[:min(len(body), 64)]), " ")
	return key
}

// Number gives a transaction's number back, -1 when the key is not one of this
// producer's.
func (p Plan) Number(key string) int {
	rest, ok := strings.CutPrefix(key, fmt.Sprintf("bank-%02d-", p.Producer))
	if !ok {
		return -1
	}
	n, err := strconv.ParseUint(rest, 10, 31)
	if err != nil {
		return -1
	}
	return int(n)
}
