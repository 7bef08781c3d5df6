// franz-go with its default settings (of which a topic brought into being by sending is not one); the contract is in
// ../src/lib.rs.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

type record struct {
	Key     *string     `json:"key"`
	Value   *string     `json:"value"`
	Headers [][2]string `json:"headers"`
}

type place struct {
	Partition int32 `json:"partition"`
	Offset    int64 `json:"offset"`
}

type stored struct {
	place
	record
}

func main() {
	log.SetFlags(0)
	ctx := context.Background()
	if os.Args[1] == "load" {
		load(ctx, os.Args[2:])
		return
	}
	address, topic := os.Args[2], os.Args[3]
	if os.Args[1] == "transform" {
		// Each line when it is true, not when all is done.
		transform(ctx, address, topic, os.Args[4], os.Args[5], os.Args[6], json.NewEncoder(os.Stdout))
		return
	}
	out := bufio.NewWriter(os.Stdout)
	switch os.Args[1] {
	case "create":
		partitions := must(strconv.ParseInt(os.Args[4], 10, 32))
		create(ctx, address, topic, int32(partitions))
	case "produce":
		produce(ctx, address, topic, json.NewEncoder(out))
	case "consume":
		consume(ctx, address, topic, json.NewEncoder(out))
	default:
		log.Fatalf("no such command: %s", os.Args[1])
	}
	check(out.Flush())
}

func create(ctx context.Context, address, topic string, partitions int32) {
	client := must(kgo.NewClient(kgo.SeedBrokers(address)))
	defer client.Close()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic = topic
	wanted.NumPartitions = partitions
	wanted.ReplicationFactor = 1
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, wanted)
	response := must(request.RequestWith(ctx, client))
	check(kerr.ErrorForCode(response.Topics[0].ErrorCode))
}

func produce(ctx context.Context, address, topic string, out *json.Encoder) {
	client := must(kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation()))
	defer client.Close()
	var sent []*kgo.Record
	input := json.NewDecoder(bufio.NewReader(os.Stdin))
	for input.More() {
		var given record
		check(input.Decode(&given))
		outgoing := &kgo.Record{Topic: topic, Key: encoded(given.Key), Value: encoded(given.Value)}
		for _, header := range given.Headers {
			outgoing.Headers = append(outgoing.Headers, kgo.RecordHeader{Key: header[0], Value: []byte(header[1])})
		}
		sent = append(sent, outgoing)
		client.Produce(ctx, outgoing, func(_ *kgo.Record, err error) { check(err) })
	}
	check(client.Flush(ctx))
	for _, acknowledged := range sent {
		check(out.Encode(place{acknowledged.Partition, acknowledged.Offset}))
	}
}

func consume(ctx context.Context, address, topic string, out *json.Encoder) {
	remaining := ends(ctx, address, topic)
	from := make(map[int32]kgo.Offset)
	for partition, end := range remaining {
		if end == 0 {
			delete(remaining, partition)
			continue
		}
		from[partition] = kgo.NewOffset().At(0)
	}
	client := must(kgo.NewClient(
		kgo.SeedBrokers(address),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
	))
	defer client.Close()
	for len(remaining) > 0 {
		fetches := client.PollFetches(ctx)
		for _, failure := range fetches.Errors() {
			check(failure.Err)
		}
		fetches.EachRecord(func(read *kgo.Record) {
			check(out.Encode(stored{
				place{read.Partition, read.Offset},
				record{decoded(read.Key), decoded(read.Value), named(read.Headers)},
			}))
			if read.Offset+1 >= remaining[read.Partition] {
				delete(remaining, read.Partition)
			}
		})
	}
}

// The end of every partition of the topic.
func ends(ctx context.Context, address, topic string) map[int32]int64 {
	client := must(kgo.NewClient(kgo.SeedBrokers(address)))
	defer client.Close()
	about := kmsg.NewMetadataRequestTopic()
	about.Topic = kmsg.StringPtr(topic)
	metadata := kmsg.NewPtrMetadataRequest()
	metadata.Topics = append(metadata.Topics, about)
	known := must(metadata.RequestWith(ctx, client)).Topics[0]
	check(kerr.ErrorForCode(known.ErrorCode))

	asked := kmsg.NewListOffsetsRequestTopic()
	asked.Topic = topic
	for _, partition := range known.Partitions {
		latest := kmsg.NewListOffsetsRequestTopicPartition()
		latest.Partition = partition.Partition
		latest.Timestamp = -1
		asked.Partitions = append(asked.Partitions, latest)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.ReplicaID = -1
	request.Topics = append(request.Topics, asked)
	found := make(map[int32]int64)
	for _, answered := range must(request.RequestWith(ctx, client)).Topics {
		for _, partition := range answered.Partitions {
			check(kerr.ErrorForCode(partition.ErrorCode))
			found[partition.Partition] = partition.Offset
		}
	}
	if len(found) != len(known.Partitions) {
		log.Fatalf("%d ends of %d partitions", len(found), len(known.Partitions))
	}
	return found
}

func encoded(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

func decoded(data []byte) *string {
	if data == nil {
		return nil
	}
	text := string(data)
	return &text
}

func named(headers []kgo.RecordHeader) [][2]string {
	pairs := make([][2]string, 0, len(headers))
	for _, header := range headers {
		pairs = append(pairs, [2]string{header.Key, string(header.Value)})
	}
	return pairs
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		log.Fatal(fmt.Errorf("franz-go: %w", err))
	}
}
