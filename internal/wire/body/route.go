// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package body

import "github.com/twostage/twostage/internal/wire/fastjson"

// TopicRouteData says which brokers have queues of a topic (GET_ROUTEINFO_BY_TOPIC,
// 105; REGISTER_TOPIC_IN_NAMESRV, 217). Clients from 4.9.4 on get it by
// [MarshalStandard].
type TopicRouteData struct {
	OrderTopicConf            string                           `json:"orderTopicConf,omitempty"` // "broker:queues;..." of an ordered topic
	QueueDatas                []QueueData                      `json:"queueDatas"`
	BrokerDatas               []BrokerData                     `json:"brokerDatas"`
	FilterServerTable         map[string][]string              `json:"filterServerTable"`                   // by broker address; empty since 4.3
	TopicQueueMappingByBroker map[string]TopicQueueMappingInfo `json:"topicQueueMappingByBroker,omitempty"` // 5.x static topics, by broker
}

// QueueData is what a broker has of the topic.
type QueueData struct {
	BrokerName     string `json:"brokerName,omitempty"`
	ReadQueueNums  int32  `json:"readQueueNums"`
	WriteQueueNums int32  `json:"writeQueueNums"`
	Perm           int32  `json:"perm"`
	TopicSysFlag   int32  `json:"topicSysFlag"`
}

// BrokerData is a broker name and where its master and slaves are.
type BrokerData struct {
	Cluster            string           `json:"cluster,omitempty"`
	BrokerName         string           `json:"brokerName,omitempty"`
	BrokerAddrs        map[int64]string `json:"brokerAddrs"`                  // "ip:port" by broker id; 0 is the master
	ZoneName           string           `json:"zoneName,omitempty"`           // 5.x
	EnableActingMaster bool             `json:"enableActingMaster,omitempty"` // 5.x
}

// ClusterInfo is all brokers of a name server (GET_BROKER_CLUSTER_INFO, 106).
type ClusterInfo struct {
	BrokerAddrTable  map[string]BrokerData `json:"brokerAddrTable"`  // by broker name
	ClusterAddrTable map[string][]string   `json:"clusterAddrTable"` // broker names by cluster
}

func (*TopicRouteData) about() (string, fastjson.Limits) { return "topic route", answerLimits() }
func (*ClusterInfo) about() (string, fastjson.Limits)    { return "cluster info", answerLimits() }

// GetBrokerMemberGroupResponseBody is the brokers of one name
// (GET_BROKER_MEMBER_GROUP, 901; 5.x).
type GetBrokerMemberGroupResponseBody struct {
	BrokerMemberGroup *BrokerMemberGroup `json:"brokerMemberGroup"`
}

// BrokerMemberGroup is the master and the slaves of one name.
type BrokerMemberGroup struct {
	Cluster     string           `json:"cluster"`
	BrokerName  string           `json:"brokerName"`
	BrokerAddrs map[int64]string `json:"brokerAddrs"` // "host:port" by broker id
}

func (*GetBrokerMemberGroupResponseBody) about() (string, fastjson.Limits) {
	return "broker member group", answerLimits()
}
