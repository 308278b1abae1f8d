// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"github.com/twostage/twostage/internal/auth"
	"github.com/twostage/twostage/internal/wire"
)

// needs is what each request of broker and name server needs. Where RocketMQ 5.3
// leaves a request that changes something to whoever has signed it, this table asks
// for more; docs/security.md lists where.
var needs = map[int32]need{
	// producers
	wire.ReqSendMessage:        {ask: topicField(auth.Pub, "topic")},
	wire.ReqSendMessageV2:      {ask: topicField(auth.Pub, "b")},
	wire.ReqSendBatchMessage:   {ask: topicField(auth.Pub, "b")},
	wire.ReqSendReplyMessage:   {ask: reply("topic")},
	wire.ReqSendReplyMessageV2: {ask: reply("b")},
	wire.ReqEndTransaction:     {ask: maybe("topic", topicField(auth.Pub, "topic"))},
	wire.ReqRecallMessage:      {ask: topicField(auth.Pub, "topic")},

	// consumers
	wire.ReqPullMessage:                {ask: consume(auth.Sub)},
	wire.ReqLitePullMessage:            {ask: consume(auth.Sub)},
	wire.ReqPopMessage:                 {ask: consume(auth.Sub)},
	wire.ReqAckMessage:                 {ask: popped},
	wire.ReqBatchAckMessage:            {ask: batchAck},
	wire.ReqPeekMessage:                {ask: consume(auth.Sub)},
	wire.ReqChangeMessageInvisibleTime: {ask: popped},
	wire.ReqNotification:               {ask: consume(auth.Sub)},
	wire.ReqPollingInfo:                {ask: consume(auth.Sub | auth.Get)},
	wire.ReqConsumerSendMsgBack:        {ask: groupField(auth.Sub, "group")},
	wire.ReqQueryConsumerOffset:        {ask: consume(auth.Sub | auth.Get)},
	wire.ReqUpdateConsumerOffset:       {ask: consume(auth.Sub | auth.Update)},
	wire.ReqGetMaxOffset:               {ask: topicField(auth.Sub|auth.Get, "topic")},
	wire.ReqGetMinOffset:               {ask: topicField(auth.Sub|auth.Get, "topic")},
	wire.ReqSearchOffsetByTimestamp:    {ask: topicField(auth.Sub|auth.Get, "topic")},
	wire.ReqGetEarliestMsgStoreTime:    {ask: topicField(auth.Sub|auth.Get, "topic")},
	wire.ReqQueryMessage:               {ask: queried},
	wire.ReqViewMessageByID:            {ask: viewMessage},
	wire.ReqGetConsumerListByGroup:     {ask: groupField(auth.Sub|auth.Get, "consumerGroup")},
	wire.ReqLockBatchMQ:                {ask: lock},
	wire.ReqUnlockBatchMQ:              {ask: lock},
	wire.ReqQueryAssignment:            {ask: signed},
	wire.ReqCheckClientConfig:          {ask: signed},

	// both
	wire.ReqHeartBeat:                {ask: heartbeat},
	wire.ReqUnregisterClient:         {ask: maybe("consumerGroup", groupField(auth.Sub, "consumerGroup"))},
	wire.ReqGetRouteInfoByTopic:      {ask: route},
	wire.ReqGetBrokerClusterInfo:     {ask: signed},
	wire.ReqGetClientConfig:          {ask: signed},
	wire.ReqGetAllMessageRequestMode: {ask: signed},

	// tools that read
	wire.ReqGetAllTopicConfig:               {ask: signed},
	wire.ReqGetAllSubscriptionGroupConfig:   {ask: signed},
	wire.ReqGetTopicStatsInfo:               {ask: topicField(auth.Get, "topic")},
	wire.ReqGetConsumerConnectionList:       {ask: groupField(auth.Get, "consumerGroup")},
	wire.ReqGetProducerConnectionList:       {ask: cluster(auth.Get)},
	wire.ReqGetConsumeStats:                 {ask: both(groupField(auth.Get, "consumerGroup"), maybe("topic", topicField(auth.Get, "topic")))},
	wire.ReqGetBrokerRuntimeInfo:            {ask: cluster(auth.Get)},
	wire.ReqGetBrokerConfig:                 {ask: cluster(auth.Get)},
	wire.ReqGetNamesrvConfig:                {ask: cluster(auth.Get)},
	wire.ReqQueryTopicConsumeByWho:          {ask: topicField(auth.Get, "topic")},
	wire.ReqQueryConsumeTimeSpan:            {ask: both(topicField(auth.Get, "topic"), groupField(auth.Get, "group"))},
	wire.ReqGetSystemTopicListFromBroker:    {ask: signed},
	wire.ReqGetConsumerRunningInfo:          {ask: groupField(auth.Get, "consumerGroup")},
	wire.ReqQueryCorrectionOffset:           {ask: both(maybe("topic", topicField(auth.Get, "topic")), maybe("compareGroup", groupField(auth.Get, "compareGroup")))},
	wire.ReqInvokeBrokerToGetConsumerStatus: {ask: both(topicField(auth.Get, "topic"), groupField(auth.Get, "group"))},
	wire.ReqViewBrokerStatsData:             {ask: cluster(auth.Get)},
	wire.ReqGetBrokerConsumeStats:           {ask: cluster(auth.Get)},
	wire.ReqQueryConsumeQueue:               {ask: topicField(auth.Get, "topic")},
	wire.ReqGetAllProducerInfo:              {ask: cluster(auth.Get)},
	wire.ReqQueryTopicsByConsumer:           {ask: groupField(auth.Get, "group")},
	wire.ReqQuerySubscriptionByConsumer:     {ask: both(groupField(auth.Get, "group"), maybe("topic", topicField(auth.Get, "topic")))},
	wire.ReqGetTopicConfig:                  {ask: topicField(auth.Get, "topic")},
	wire.ReqGetSubscriptionGroupConfig:      {ask: groupField(auth.Get, "group")},
	wire.ReqGetKVConfig:                     {ask: cluster(auth.Get)},
	wire.ReqGetKVListByNamespace:            {ask: cluster(auth.Get)},
	wire.ReqGetAllTopicListFromNameServer:   {ask: signed},
	wire.ReqGetSystemTopicListFromNS:        {ask: signed},
	wire.ReqGetTopicsByCluster:              {ask: signed},
	wire.ReqGetUnitTopicList:                {ask: signed},
	wire.ReqGetHasUnitSubTopicList:          {ask: signed},
	wire.ReqGetHasUnitSubNonUnitTopicList:   {ask: signed},
	wire.ReqGetBrokerMemberGroup:            {ask: signed},
	wire.ReqGetBrokerClusterACLInfo:         {ask: cluster(auth.Get)},
	wire.ReqGetTopicNameList:                {ask: signed},
	wire.ReqGetBrokerHAStatus:               {ask: cluster(auth.Get)},
	wire.ReqGetBrokerEpochCache:             {ask: cluster(auth.Get)},
	wire.ReqGetColdDataFlowCtrInfo:          {ask: cluster(auth.Get)},
	wire.ReqCheckRocksDBCQWriteProgress:     {ask: cluster(auth.Get)},

	// tools that make things
	wire.ReqUpdateAndCreateTopic:                 {ask: topicField(auth.Create, "topic")},
	wire.ReqUpdateAndCreateTopicList:             {protected: true, ask: cluster(auth.Create)},
	wire.ReqUpdateAndCreateStaticTopic:           {protected: true, ask: topicField(auth.Create, "topic")},
	wire.ReqUpdateAndCreateSubscriptionGroup:     {ask: putGroup},
	wire.ReqUpdateAndCreateSubscriptionGroupList: {protected: true, ask: cluster(auth.Create)},
	wire.ReqSetMessageRequestMode:                {protected: true, ask: cluster(auth.Update)},

	// servers among themselves
	wire.ReqRegisterBroker:   {ask: cluster(auth.Update)},
	wire.ReqUnregisterBroker: {ask: cluster(auth.Update)},
	wire.ReqQueryDataVersion: {ask: cluster(auth.Update)},
	wire.ReqBrokerHeartbeat:  {ask: cluster(auth.Update)},

	// what destroys or decides
	wire.ReqUpdateBrokerConfig:          {protected: true, ask: cluster(auth.Update)},
	wire.ReqUpdateNamesrvConfig:         {protected: true, ask: cluster(auth.Update)},
	wire.ReqDeleteTopicInBroker:         {protected: true, ask: topicField(auth.Delete, "topic")},
	wire.ReqDeleteTopicInNamesrv:        {protected: true, ask: cluster(auth.Update)},
	wire.ReqDeleteSubscriptionGroup:     {protected: true, ask: groupField(auth.Delete, "groupName")},
	wire.ReqInvokeBrokerToResetOffset:   {protected: true, ask: both(topicField(auth.Update, "topic"), groupField(auth.Update, "group"))},
	wire.ReqCloneGroupOffset:            {protected: true, ask: both(groupField(auth.Update, "destGroup"), maybe("topic", topicField(auth.Update, "topic")))},
	wire.ReqConsumeMessageDirectly:      {protected: true, ask: groupField(auth.Sub, "consumerGroup")},
	wire.ReqUpdateAndGetGroupForbidden:  {protected: true, ask: both(groupField(auth.Update, "group"), topicField(auth.Update, "topic"))},
	wire.ReqCleanExpiredConsumeQueue:    {protected: true, ask: cluster(auth.Update)},
	wire.ReqCleanUnusedTopic:            {protected: true, ask: cluster(auth.Update)},
	wire.ReqDeleteExpiredCommitLog:      {protected: true, ask: cluster(auth.Update)},
	wire.ReqWipeWritePermOfBroker:       {protected: true, ask: cluster(auth.Update)},
	wire.ReqAddWritePermOfBroker:        {protected: true, ask: cluster(auth.Update)},
	wire.ReqRegisterTopicInNamesrv:      {protected: true, ask: cluster(auth.Update)},
	wire.ReqPutKVConfig:                 {protected: true, ask: cluster(auth.Update)},
	wire.ReqDeleteKVConfig:              {protected: true, ask: cluster(auth.Update)},
	wire.ReqUpdateColdDataFlowCtrConfig: {protected: true, ask: cluster(auth.Update)},
	wire.ReqRemoveColdDataFlowCtrConfig: {protected: true, ask: cluster(auth.Update)},
	wire.ReqSetCommitLogReadMode:        {protected: true, ask: cluster(auth.Update)},
	wire.ReqExportRocksDBConfigToJSON:   {protected: true, ask: cluster(auth.Update)},
	wire.ReqAddBroker:                   {protected: true, ask: cluster(auth.Update)},
	wire.ReqRemoveBroker:                {protected: true, ask: cluster(auth.Update)},
	wire.ReqResetMasterFlushOffset:      {protected: true, ask: cluster(auth.Update)},
	wire.ReqPopRollback:                 {protected: true, ask: cluster(auth.Update)},

	// the inspector of transactions
	wire.ReqTxList:                 {protected: true, ask: administer},
	wire.ReqTxShow:                 {protected: true, ask: administer},
	wire.ReqTxDecide:               {protected: true, ask: cluster(auth.Update)},
	wire.ReqTxRecheck:              {protected: true, ask: cluster(auth.Update)},
	wire.ReqTxResume:               {protected: true, ask: cluster(auth.Update)},
	wire.ReqResumeCheckHalfMessage: {protected: true, ask: cluster(auth.Update)},

	// access control itself
	wire.ReqUpdateAndCreateACLConfig:     {protected: true, ask: cluster(auth.Update)},
	wire.ReqDeleteACLConfig:              {protected: true, ask: cluster(auth.Update)},
	wire.ReqUpdateGlobalWhiteAddrsConfig: {protected: true, ask: cluster(auth.Update)},
	wire.ReqAuthCreateUser:               {protected: true, ask: cluster(auth.Update)},
	wire.ReqAuthUpdateUser:               {protected: true, ask: cluster(auth.Update)},
	wire.ReqAuthDeleteUser:               {protected: true, ask: cluster(auth.Update)},
	wire.ReqAuthGetUser:                  {protected: true, ask: administer},
	wire.ReqAuthListUser:                 {protected: true, ask: administer},
	wire.ReqAuthCreateACL:                {protected: true, ask: cluster(auth.Update)},
	wire.ReqAuthUpdateACL:                {protected: true, ask: cluster(auth.Update)},
	wire.ReqAuthDeleteACL:                {protected: true, ask: cluster(auth.Update)},
	wire.ReqAuthGetACL:                   {protected: true, ask: administer},
	wire.ReqAuthListACL:                  {protected: true, ask: administer},
}

// anything is what a code without a row needs.
var anything = need{protected: true, ask: cluster(auth.Update)}

func needOf(code int32) need {
	if n, ok := needs[code]; ok {
		return n
	}
	return anything
}

// Known says whether the request has a row of its own in the table of needs.
func Known(code int32) bool {
	_, ok := needs[code]
	return ok
}

// Protected says whether the request is taken from this machine only, without access
// control.
func Protected(code int32) bool { return needOf(code).protected }
