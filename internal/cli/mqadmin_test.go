// Copyright 2026 The Twostage Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// mqadminCommands are those of RocketMQ's tools, 4.9.8 to 5.5. Source: the command
// names in tools/src/main/java/org/apache/rocketmq/tools/command.
const mqadminCommands = `updateTopic updateTopicList deleteTopic updateTopicPerm topicRoute topicStatus topicClusterList topicList updateOrderConf
allocateMQ updateStaticTopic remappingStaticTopic updateSubGroup updateSubGroupList setConsumeMode deleteSubGroup consumerProgress
consumerStatus startMonitoring getConsumerConfig updateBrokerConfig resetMasterFlushOffset brokerStatus sendMsgStatus brokerConsumeStats
cleanExpiredCQ deleteExpiredCommitLog cleanUnusedTopic getBrokerConfig getBrokerEpoch getColdDataFlowCtrInfo
updateColdDataFlowCtrGroupConfig removeColdDataFlowCtrGroupConfig setCommitLogReadAheadMode addBroker removeBroker queryMsgById
queryMsgByKey queryMsgByUniqueKey queryMsgByOffset queryMsgTraceById printMsg printMsgByQueue checkMsgSendRT sendMessage consumeMessage
dumpCompactionLog producerConnection consumerConnection cloneGroupOffset resetOffsetByTime skipAccumulatedMessage producer clusterList
clusterRT updateKvConfig deleteKvConfig wipeWritePerm addWritePerm getNamesrvConfig updateNamesrvConfig statsAll queryCq
checkRocksdbCqWriteProgress exportMetadata exportConfigs exportMetrics exportMetadataInRocksDB exportPopRecord haStatus getSyncStateSet
getControllerMetaData getControllerConfig updateControllerConfig electMaster cleanBrokerMetadata createUser updateUser deleteUser getUser
listUser copyUser createAcl updateAcl deleteAcl getAcl listAcl copyAcl rocksDBConfigToJson updateAclConfig deleteAclConfig
updateGlobalWhiteAddr clusterAclConfigVersion switchTimerEngine getBrokerLiteInfo getParentTopicInfo getLiteTopicInfo getLiteClientInfo
getLiteGroupInfo triggerLiteDispatch`

// docs/mqadmin.md has every command of mqadmin once, with commands and flags of ours
// that there are, or with the reason why there is none.
func TestMqadminTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/mqadmin.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (\w+) \| (.+) \|$`)
	rows := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		if m[1] == "mqadmin" {
			continue // a heading
		}
		if rows[m[1]] != "" {
			t.Errorf("%s is there twice", m[1])
		}
		rows[m[1]] = m[2]
	}
	for _, name := range strings.Fields(mqadminCommands) {
		switch ours, ok := rows[name]; {
		case !ok:
			t.Errorf("%s is not there", name)
		case !strings.Contains(ours, "`twostage ") && !strings.HasPrefix(ours, "none"):
			t.Errorf("%s: neither a command nor why there is none: %s", name, ours)
		}
	}
	commands := regexp.MustCompile("`(twostage [^`]+)`").FindAllStringSubmatch(string(text), -1)
	if len(commands) < 60 {
		t.Errorf("%d commands are named", len(commands))
	}
	for _, m := range commands {
		if m[1] == "twostage NOUN VERB --help" {
			continue
		}
		if err := checkCommand(m[1]); err != nil {
			t.Errorf("%s: %v", m[1], err)
		}
	}
	for _, line := range []string{"twostage topic paint TOPIC", "twostage topic", "twostage topic list --colour", "twostage topic list -z", "twostage topic delete"} {
		if checkCommand(line) == nil {
			t.Errorf("%s is accepted", line)
		}
	}
}

// checkCommand tells whether a command line has a command and flags that there are,
// and as many arguments as it takes.
func checkCommand(line string) error {
	cmd, rest, err := rootCommand(Process{}).Find(strings.Fields(line)[1:])
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() {
		return fmt.Errorf("there is no such command below %q", cmd.CommandPath())
	}
	given := 0
	for i := 0; i < len(rest); i++ {
		if !strings.HasPrefix(rest[i], "-") {
			given++
			continue
		}
		f := cmd.Flags().Lookup(strings.TrimPrefix(rest[i], "--"))
		if !strings.HasPrefix(rest[i], "--") {
			f = cmd.Flags().ShorthandLookup(rest[i][1:])
		}
		if f == nil {
			return fmt.Errorf("there is no flag %s", rest[i])
		}
		if f.NoOptDefVal == "" {
			i++ // its value
		}
	}
	return cmd.Args(cmd, make([]string, given))
}
