// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package bank

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twostage/twostage/internal/proctest"
	"github.com/twostage/twostage/test/bank/teller"
)

var (
	rounds       = flag.Int("rounds", 1, "banks, one after the other, each on a fresh directory")
	kills        = flag.Int("kills", 1, "how often the broker of a bank is killed")
	duration     = flag.Duration("duration", 5*time.Second, "how long a bank begins transactions, at least")
	transactions = flag.Int("transactions", 1500, "how many it begins, at least")
	seed         = flag.Uint64("seed", 0, "of the plan and the schedule; 0 draws one")
)

// options are those of a bank.
type options struct {
	bin           string
	env           []string // of the broker
	keys          []string // of its configuration
	seed          uint64
	kills         int // of the broker
	stops         int // of producers, for longer than expiry
	murders       int // of producers, at any moment
	deaths        int // of so many transactions of a producer,
	doomed        int // so many end it together, decided and not told
	duration      time.Duration
	transactions  int
	abandoned     int
	checks        int // until a transaction is discarded
	raw, official int // producers
	rate          float64
}

// size gives the options of a bank that has part of what the flags say.
func size(t *testing.T, seed uint64, part int, keys ...string) options {
	t.Helper()
	o := options{
		bin: proctest.Binary(t), keys: keys, seed: seed, kills: max(*kills/part, 1),
		// Less has less of a fault than what is asked for, now and then.
		duration:     min(max(*duration/time.Duration(part), 5*time.Second), *duration),
		transactions: min(max(*transactions/part, 1500), *transactions),
		raw:          4, official: 2, checks: 10,
	}
	o.stops, o.murders = max(o.kills/2, 1), max(o.kills/2, 1)
	o.abandoned = min(max(o.transactions/100, 20), 500)
	// Some time is lost while the broker is away.
	o.rate = 1.15 * float64(o.transactions) / o.duration.Seconds()
	// A raw producer lives long enough to end most of what it delays, and to read a
	// ledger that is long; not longer than the bank. A tenth of its transactions
	// die with it.
	life := min(max(8, o.duration.Seconds()/60), 25, o.duration.Seconds()*0.87)
	o.deaths = max(int(life*o.rate*2/float64(2*o.raw+o.official)), 20)
	o.doomed = min(o.deaths/10, teller.MaxDoomed)
	return o
}

func firstSeed(t *testing.T) uint64 {
	t.Helper()
	if *seed != 0 {
		return *seed
	}
	return rand.Uint64N(1 << 32)
}

func TestBank(t *testing.T) {
	t.Parallel()
	first := firstSeed(t)
	t.Logf("run again with -rounds %d -kills %d -duration %v -transactions %d -seed %d", *rounds, *kills, *duration, *transactions, first)
	for n := range *rounds {
		t.Run(fmt.Sprintf("round%d", n), func(t *testing.T) {
			bank(t, size(t, first+uint64(n), 1, "flushDiskType=ASYNC_FLUSH"))
		})
	}
}

// TestBankSynchronous is a shorter one in which every write is synced.
func TestBankSynchronous(t *testing.T) {
	t.Parallel()
	first := firstSeed(t)
	t.Logf("run again with -kills %d -duration %v -transactions %d -seed %d", *kills, *duration, *transactions, first)
	o := size(t, first, 4, "flushDiskType=SYNC_FLUSH")
	// Nobody is stopped, so that few checks are enough and the discards come soon.
	o.stops, o.checks = 0, 8
	bank(t, o)
}

// bank runs a bank to its end.
func bank(t *testing.T, cfg options) {
	t.Helper()
	begin := time.Now()
	w := newWorld(t, cfg)
	if err := w.run(); err != nil {
		t.Fatal(err)
	}
	if err := w.finish(); err != nil {
		t.Fatal(err)
	}
	busy := time.Since(begin)
	// Not drained is a fault; what the ledgers then say about it helps to find it.
	if err := w.drain(topic, abandonedTopic); err != nil {
		t.Error(err)
	}
	for _, b := range w.branches {
		if err := b.quit(); err != nil {
			t.Error(err)
		}
	}
	v, err := w.judge()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range v.told {
		t.Error(s)
	}
	v.print(t)
	t.Logf("seed %d: %d transactions, %d kills of the broker, %d ends of producers, in %v, drained after %v",
		cfg.seed, v.transactions, w.kills, w.deaths, busy.Round(time.Second), time.Since(begin).Round(time.Second))
	// The plan is there to make faults: less than its share says that it was not
	// carried out.
	for _, f := range []teller.Fault{
		teller.RolledBack, teller.EndLost, teller.HalfLost, teller.Late, teller.Twice, teller.Contradictory, teller.Unsure,
		teller.WrongEnd, teller.Died,
	} {
		if v.faults[f] < cfg.transactions/20 {
			t.Errorf("%d transactions with %s, want %d", v.faults[f], f, cfg.transactions/20)
		}
	}
	if w.kills != cfg.kills {
		t.Errorf("%d kills of the broker, want %d", w.kills, cfg.kills)
	}
	if begun := v.transactions - cfg.abandoned; begun < cfg.transactions {
		t.Errorf("%d transactions, want %d", begun, cfg.transactions)
	}
	if v.discarded == 0 || w.deaths == 0 || busy < cfg.duration {
		t.Errorf("%d discarded, %d producers died, in %v: less than asked for", v.discarded, w.deaths, busy)
	}
}

// print tells the totals.
func (v *verdict) print(t *testing.T) {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%d committed, %d rolled back, %d discarded, %d checks\n", v.commits, v.rollbacks, v.discarded, v.checks)
	for _, kind := range violations {
		fmt.Fprintf(&b, "  %s %d", kind, v.found[kind])
	}
	b.WriteString("\nfaults:")
	for _, f := range teller.Faults {
		if v.faults[f] > 0 {
			fmt.Fprintf(&b, "  %s %d", f, v.faults[f])
		}
	}
	b.WriteString("\nanswers to END_TRANSACTION:")
	for _, code := range slices.Sorted(maps.Keys(v.codes)) {
		fmt.Fprintf(&b, "  %s %d", code, v.codes[code])
	}
	t.Log(b.String())
}

// run carries out the schedule.
func (w *world) run() error {
	steps := schedule(w.cfg)
	var resume []func() // of those that are stopped
	var at []time.Time
	end := time.Now().Add(w.cfg.duration)
	limit := w.cfg.duration*4 + time.Minute
	return w.until("the schedule is carried out", limit, func() error {
		if err := w.look(); err != nil {
			return fatal{err}
		}
		now := time.Now()
		for i := 0; i < len(at); {
			if now.Before(at[i]) {
				i++
				continue
			}
			resume[i]()
			resume, at = slices.Delete(resume, i, i+1), slices.Delete(at, i, i+1)
		}
		for len(steps) > 0 && steps[0].at <= w.begun() {
			s := steps[0]
			steps = steps[1:]
			b := w.branches[s.who]
			switch s.what {
			case "kill":
				if err := w.killBroker(); err != nil {
					return fatal{err}
				}
			case "kill twice":
				for range 2 { // what the start did must withstand a kill as well
					if err := w.killBroker(); err != nil {
						return fatal{err}
					}
				}
			case "kill producer":
				b.kill()
			case "stop":
				b.signal(syscall.SIGSTOP)
				resume = append(resume, func() { b.signal(syscall.SIGCONT) })
				at = append(at, now.Add(s.long))
			}
		}
		if len(steps) > 0 || len(at) > 0 || now.Before(end) || w.begun() < w.cfg.transactions {
			return fmt.Errorf("%d of %d transactions, %d steps left", w.begun(), w.cfg.transactions, len(steps))
		}
		return nil
	})
}

// TestScheduleReplays holds that seed and size make the schedule, and that it
// has what is asked for.
func TestScheduleReplays(t *testing.T) {
	for s := range uint64(200) {
		cfg := options{seed: s, kills: 1 + int(s)%9, stops: int(s) % 5, murders: 3, transactions: 1000, raw: 4, official: 2}
		steps := schedule(cfg)
		if again := schedule(cfg); !slices.Equal(steps, again) {
			t.Fatalf("seed %d: %v, then %v", s, steps, again)
		}
		kills, stops := 0, 0
		for i, step := range steps {
			if step.at < 0 || step.at >= cfg.transactions || i > 0 && step.at < steps[i-1].at || step.who >= 6 {
				t.Fatalf("seed %d: %v", s, steps)
			}
			switch step.what {
			case "kill":
				kills++
			case "kill twice":
				kills += 2
			case "stop":
				stops++
				if step.long <= expiry {
					t.Errorf("seed %d: a stop for %v", s, step.long)
				}
			}
		}
		if kills != cfg.kills || stops != cfg.stops {
			t.Errorf("seed %d: %d kills and %d stops, want %d and %d", s, kills, stops, cfg.kills, cfg.stops)
		}
	}
}
