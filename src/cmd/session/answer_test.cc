// Answers and errors as they are printed.
#include "cmd/session/answer.h"

#include <gtest/gtest.h>

#include "cmd/session/error_text.h"
#include "cmd/session/message_json.h"

namespace quorate::cmd {
namespace {

etcdserverpb::ResponseHeader Header() {
  etcdserverpb::ResponseHeader header;
  header.set_cluster_id(0xabc);
  header.set_member_id(0xffffffffffffffff);
  header.set_revision(7);
  return header;
}

TEST(MessageJsonTest, AsGoWritesTheStruct) {
  etcdserverpb::TxnResponse txn;
  *txn.mutable_header() = Header();
  txn.set_succeeded(true);
  auto* kv = txn.add_responses()->mutable_response_range()->add_kvs();
  kv->set_key("a<");
  kv->set_lease(-1);
  txn.add_responses()->mutable_response_delete_range();
  EXPECT_EQ(MessageJson(txn),
            R"({"header":{"cluster_id":2748,"member_id":18446744073709551615,"revision":7},"succeeded":true,)"
            R"("responses":[{"Response":{"ResponseRange":{"kvs":[{"key":"YTw=","lease":-1}]}}},)"
            R"({"Response":{"ResponseDeleteRange":{}}}]})");
}

TEST(MessageJsonTest, StringsEnumsAndLists) {
  etcdserverpb::MemberListResponse list;
  auto* member = list.add_members();
  member->set_name("a&\"b\"");
  member->add_peerurls("http://x");
  member->set_islearner(true);
  EXPECT_EQ(MessageJson(list),
            R"({"members":[{"name":"a\u0026\"b\"","peerURLs":["http://x"],"isLearner":true}]})");
  etcdserverpb::AlarmResponse alarm;
  alarm.add_alarms()->set_alarm(etcdserverpb::CORRUPT);
  EXPECT_EQ(MessageJson(alarm), R"({"alarms":[{"alarm":2}]})");
  EXPECT_EQ(JsonObject().AddNumber("n", 1).AddFields(alarm).Text(), R"({"n":1,"alarms":[{"alarm":2}]})");
}

TEST(FieldsTest, HexIds) {
  EXPECT_EQ(
      HeaderFields(Header(), false),
      "\"ClusterID\" : 2748\n\"MemberID\" : 18446744073709551615\n\"Revision\" : 7\n\"RaftTerm\" : 0\n");
  EXPECT_EQ(IdField("ID", 0xabc, true), "\"ID\" : abc\n");
  EXPECT_EQ(LeaseField("ID", 0xabc, true), "\"ID\" : 0000000000000abc\n");
}

TEST(KeyLinesTest, HexAndValueOnly) {
  mvccpb::KeyValue kv;
  kv.set_key("a\n");
  kv.set_value("v");
  EXPECT_EQ(KeyLines(kv, false, false), "a\n\nv\n");
  EXPECT_EQ(KeyLines(kv, true, false), "\\x61\\x0a\n\\x76\n");
  EXPECT_EQ(KeyLines(kv, false, true), "v\n");
}

TEST(ErrorTextTest, EtcdsWordsFirstThenTheWayOut) {
  const Status refused = MakeStatus(
      absl::StatusCode::kDeadlineExceeded,
      "context deadline exceeded: no connection to 127.0.0.1:1: ipv4:127.0.0.1:1: Connection refused");
  EXPECT_EQ(EtcdText(refused), "context deadline exceeded");
  EXPECT_NE(AdviceFor(refused).find("nothing listens there"), std::string::npos);
  EXPECT_NE(AdviceFor(PermissionDenied("etcdserver: permission denied")).find("role"), std::string::npos);
  const Status full =
      MakeStatus(absl::StatusCode::kResourceExhausted, "etcdserver: mvcc: database space exceeded");
  EXPECT_EQ(EtcdText(full), "etcdserver: mvcc: database space exceeded");
  EXPECT_NE(AdviceFor(full).find("alarm disarm"), std::string::npos);
  EXPECT_EQ(AdviceFor(InvalidArgument("etcdserver: key is not provided")), "");
}

}  // namespace
}  // namespace quorate::cmd
