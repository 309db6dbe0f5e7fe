package filelock

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
)

// Goroutines get their turn in the order of their arrival; those that give up are passed over.
func TestQueueIsFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q queues
		leave, err := q.enter(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		impatient, cancel := context.WithCancelCause(t.Context())
		order := make(chan int, 10)
		for i := range 10 {
			ctx := t.Context()
			if i%3 == 1 {
				ctx = impatient
			}
			go func() {
				leave, err := q.enter(ctx, "p")
				if err != nil {
					order <- -i
					return
				}
				order <- i
				leave()
			}()
			synctest.Wait() // it has arrived
		}
		if free, err := q.enter(t.Context(), "another"); err != nil {
			t.Errorf("another path: %v", err)
		} else {
			free()
		}
		cancel(errors.New("impatient"))
		gaveUp := 0
		for range 3 {
			gaveUp += <-order
		}
		leave()
		var got []int
		for range 7 {
			got = append(got, <-order)
		}
		if want := []int{0, 2, 3, 5, 6, 8, 9}; gaveUp != -(1+4+7) || !slices.Equal(got, want) {
			t.Errorf("order %v, want %v; gave up: %d", got, want, gaveUp)
		}
		synctest.Wait()
		if len(q.paths) != 0 {
			t.Errorf("kept: %v", q.paths)
		}
	})
}
