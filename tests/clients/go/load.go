package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Load on a cluster; the contract is in tests/faults/src/cluster/load.rs.
func load(ctx context.Context, arguments []string) {
	addresses := kgo.SeedBrokers(strings.Split(arguments[1], ",")...)
	out := &lines{out: bufio.NewWriter(os.Stdout)}
	ended, end := context.WithCancel(ctx)
	go func() {
		// Whoever started this closes its standard input when it is to end.
		_, _ = os.Stdin.Read(make([]byte, 1))
		end()
	}()
	switch arguments[0] {
	case "produce":
		rate := must(strconv.Atoi(arguments[5]))
		loadProduce(ctx, ended, out, addresses, arguments[2], must(strconv.Atoi(arguments[3])), arguments[4], rate)
	case "read":
		loadRead(ended, out, addresses, arguments[2], must(strconv.Atoi(arguments[3])))
	case "group":
		loadGroup(ctx, ended, out, addresses, arguments[2], arguments[3])
	default:
		check(fmt.Errorf("no such command: %s", arguments[0]))
	}
	out.flush()
}

func loadProduce(
	ctx, ended context.Context, out *lines, addresses kgo.Opt, topic string, partitions int, name string, rate int,
) {
	client := must(kgo.NewClient(addresses, kgo.RecordPartitioner(kgo.ManualPartitioner())))
	defer client.Close()
	sent := make([]int, partitions)
	begun := time.Now()
	for total := 0; ended.Err() == nil; out.flush() {
		for ; float64(total) < time.Since(begun).Seconds()*float64(rate); total++ {
			partition := total % partitions
			number := sent[partition]
			sent[partition]++
			value := fmt.Sprintf("%s:%d:%d:%s", name, partition, number, strings.Repeat("x", number*7919%1000))
			record := &kgo.Record{Topic: topic, Partition: int32(partition), Value: []byte(value)}
			client.Produce(ctx, record, func(stored *kgo.Record, err error) {
				if err == nil {
					out.println("a", partition, number, stored.Offset)
				} else {
					out.println("u", partition, number, err)
				}
			})
		}
		time.Sleep(5 * time.Millisecond)
	}
	check(client.Flush(ctx))
	for partition, count := range sent {
		out.println("s", partition, count)
	}
}

func loadRead(ended context.Context, out *lines, addresses kgo.Opt, topic string, partitions int) {
	from := make(map[int32]kgo.Offset)
	for partition := range partitions {
		from[int32(partition)] = kgo.NewOffset().At(0)
	}
	client := must(kgo.NewClient(
		addresses,
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		// What was read stays: an offset that is gone is an error and no reason to go elsewhere.
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
	))
	defer client.Close()
	for poll(ended, client, out) != nil {
		out.flush()
	}
}

func loadGroup(ctx, ended context.Context, out *lines, addresses kgo.Opt, topic, group string) {
	client := must(kgo.NewClient(
		addresses,
		kgo.ConsumerGroup(group),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	))
	defer client.Close()
	for {
		read := poll(ended, client, out)
		if read == nil {
			return
		}
		check(client.CommitRecords(ctx, read...))
		next := make(map[int32]int64)
		for _, record := range read {
			next[record.Partition] = record.Offset + 1
		}
		for partition, offset := range next {
			out.println("c", partition, offset)
		}
		out.flush()
	}
}

// What comes next, told; nil when this is to end.
func poll(ended context.Context, client *kgo.Client, out *lines) []*kgo.Record {
	fetches := client.PollFetches(ended)
	if ended.Err() != nil {
		return nil
	}
	for _, failure := range fetches.Errors() {
		// Told for information: the client joins again by itself.
		var session *kgo.ErrGroupSession
		if errors.As(failure.Err, &session) {
			continue
		}
		check(fmt.Errorf("partition %d: %w", failure.Partition, failure.Err))
	}
	read := fetches.Records()
	for _, record := range read {
		value := string(record.Value)
		shown := value[:strings.LastIndex(value, ":")+1]
		out.println("r", record.Partition, record.Offset, len(value), shown)
	}
	return append([]*kgo.Record{}, read...)
}

// Standard output, for several goroutines.
type lines struct {
	lock sync.Mutex
	out  *bufio.Writer
}

func (l *lines) println(words ...any) {
	l.lock.Lock()
	defer l.lock.Unlock()
	_, err := fmt.Fprintln(l.out, words...)
	check(err)
}

func (l *lines) flush() {
	l.lock.Lock()
	defer l.lock.Unlock()
	check(l.out.Flush())
}
