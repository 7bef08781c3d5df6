// Consume, transform, produce: the contract is in ../src/lib.rs.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func transform(ctx context.Context, address, from, to, group, id string, out *json.Encoder) {
	session := must(kgo.NewGroupTransactSession(
		kgo.SeedBrokers(strings.Split(address, ",")...),
		kgo.TransactionalID(id),
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.TransactionTimeout(20*time.Second),
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(from),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.RequireStableFetchOffsets(),
		kgo.SessionTimeout(6*time.Second),
		kgo.HeartbeatInterval(time.Second),
	))
	defer session.Close()
	for ended := ends_with_input(); ; {
		select {
		case <-ended:
			return
		default:
		}
		polling, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fetches := session.PollRecords(polling, 20)
		cancel()
		for _, failure := range fetches.Errors() {
			if !errors.Is(failure.Err, context.DeadlineExceeded) {
				check(failure.Err)
			}
		}
		if fetches.NumRecords() == 0 {
			continue
		}
		check(session.Begin())
		var failed error
		var guard sync.Mutex
		fetches.EachRecord(func(read *kgo.Record) {
			outgoing := &kgo.Record{Topic: to, Partition: read.Partition, Key: read.Key, Value: read.Value}
			session.Produce(ctx, outgoing, func(_ *kgo.Record, err error) {
				guard.Lock()
				defer guard.Unlock()
				failed = errors.Join(failed, err)
			})
		})
		// Waits for what is under way.
		check(session.Client().Flush(ctx))
		guard.Lock()
		end := kgo.TransactionEndTry(failed == nil)
		guard.Unlock()
		committed, err := session.End(ctx, end)
		check(err)
		if committed {
			check(out.Encode(map[string]int{"transformed": fetches.NumRecords()}))
		} else {
			log.Print("a transaction was aborted")
		}
	}
}

// Closed when whoever started this has closed its standard input.
func ends_with_input() <-chan struct{} {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		os.Stdin.Read(make([]byte, 1))
	}()
	return ended
}
