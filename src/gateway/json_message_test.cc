// Messages to JSON and back: decoding and encoding, which must fit each other and the original.
#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/test_seed.h"
#include "gateway/json_decode.h"
#include "gateway/json_encode.h"
#include "gateway/json_syntax.h"
#include "gateway/routes.h"
#include "rpc.pb.h"

namespace quorate::gateway {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using PbMessage = google::protobuf::Message;

Status Decode(const std::string& json, PbMessage* message) {
  JsonValues values(json);
  const auto value = values.Next();
  return value.ok() ? DecodeJson(*value, message) : value.status();
}

std::string Encode(const PbMessage& message) {
  std::string json;
  AppendJson(json, message);
  return json;
}

// What a request means, as the JSON that we would write for it.
TEST(JsonMessageTest, RequestsInEveryAcceptedForm) {
  struct Case {
    std::string json;
    std::string meaning;
  };
  const std::vector<Case> cases = {
      {"{}", "{}"},
      {"null", "{}"},
      {R"({"key":"Zm9v","range_end":"Zm9w"})", R"({"key":"Zm9v","range_end":"Zm9w"})"},
      {R"({"key":"Zm9v","rangeEnd":"Zm9w"})", R"({"key":"Zm9v","range_end":"Zm9w"})"},
      {R"({"k\u0065y":"Z\u006d9v"})", R"({"key":"Zm9v"})"},
      {R"({"key":"-_8"})", R"({"key":"+/8="})"},
      {R"({"key":"-_8="})", R"({"key":"+/8="})"},
      {R"({"key":"+/8"})", R"({"key":"+/8="})"},
      {R"({"key":"Zm\n9v"})", R"({"key":"Zm9v"})"},
      {R"({"limit":5,"revision":"-7"})", R"({"limit":"5","revision":"-7"})"},
      {R"({"limit":"9223372036854775807"})", R"({"limit":"9223372036854775807"})"},
      {R"({"limit":-9223372036854775808})", R"({"limit":"-9223372036854775808"})"},
      {R"({"limit":1.0,"revision":"25e1"})", R"({"limit":"1","revision":"250"})"},
      {R"({"limit":12.50e1,"revision":-0})", R"({"limit":"125"})"},
      {R"({"limit":100e-2})", R"({"limit":"1"})"},
      {R"({"limit":0e5})", "{}"},
      {R"({"sort_order":"DESCEND","sort_target":3})", R"({"sort_order":"DESCEND","sort_target":"MOD"})"},
      {R"({"sort_order":77})", R"({"sort_order":77})"},
      {R"({"serializable":true,"keys_only":false})", R"({"serializable":true})"},
      {R"({"serializable":null,"key":null,"limit":null})", "{}"},
      {R"({"key":"YQ==","key":"Yg=="})", R"({"key":"Yg=="})"},
      {R"({"nosuch":{"a":[1,"]"]},"Key":7,"key":"YQ=="})", R"({"key":"YQ=="})"},
  };
  for (const Case& c : cases) {
    etcdserverpb::RangeRequest request;
    const Status status = Decode(c.json, &request);
    ASSERT_TRUE(status.ok()) << c.json << ": " << status;
    EXPECT_EQ(c.meaning, Encode(request)) << c.json;
  }
}

TEST(JsonMessageTest, NestedRequests) {
  const std::string json =
      R"({"compare":[{"result":"EQUAL","target":"VERSION","key":"YQ==","version":"0"}],)"
      R"("success":[{"request_put":{"key":"YQ==","value":"MQ=="}},{"requestRange":{"key":"YQ=="}}],)"
      R"("failure":[{"request_txn":{"success":[{"request_delete_range":{"key":"YQ=="}}]}}]})";
  etcdserverpb::TxnRequest txn;
  ASSERT_TRUE(Decode(json, &txn).ok());
  EXPECT_EQ("a", txn.failure(0).request_txn().success(0).request_delete_range().key());
  EXPECT_EQ(etcdserverpb::Compare::kVersion, txn.compare(0).target_union_case());
  // In a union a zero is a value; elsewhere, as of `target`, it is left out.
  EXPECT_EQ(R"({"compare":[{"key":"YQ==","version":"0"}],)"
            R"("success":[{"request_put":{"key":"YQ==","value":"MQ=="}},{"request_range":{"key":"YQ=="}}],)"
            R"("failure":[{"request_txn":{"success":[{"request_delete_range":{"key":"YQ=="}}]}}]})",
            Encode(txn));
  etcdserverpb::WatchRequest watch;
  ASSERT_TRUE(
      Decode(R"({"create_request":{"filters":["NOPUT",1]},"create_request":{"key":"YQ=="}})", &watch).ok());
  EXPECT_EQ(R"({"create_request":{"key":"YQ=="}})", Encode(watch));
}

TEST(JsonMessageTest, WhatCannotBeReadSaysSoAsGoDoes) {
  struct Case {
    std::string json;
    std::string error;
  };
  const std::string into = "json: cannot unmarshal ";
  const std::vector<Case> cases = {
      {"3", into + "number into Go value of type map[string]json.RawMessage"},
      {"[]", into + "array into Go value of type map[string]json.RawMessage"},
      {R"("x")", into + "string into Go value of type map[string]json.RawMessage"},
      {R"({"key":1})", into + "number into Go value of type []uint8"},
      {R"({"key":{}})", into + "object into Go value of type []uint8"},
      {R"({"key":"&&"})", "illegal base64 data at input byte 0"},
      {R"({"key":"YQ=x"})", "illegal base64 data at input byte 2"},
      {R"({"key":"a w=="})", "illegal base64 data at input byte 1"},
      {R"({"key":"aw\t=="})", "illegal base64 data at input byte 2"},
      {R"({"key":"YWJj-+"})", "illegal base64 data at input byte 5"},
      {R"({"limit":1.5})", into + "number 1.5 into Go value of type int64"},
      {R"({"limit":99999999999999999999})", into + "number 99999999999999999999 into Go value of type int64"},
      {R"({"limit":1e400})", into + "number 1e400 into Go value of type int64"},
      {R"({"limit":"abc"})", "invalid character 'a' looking for beginning of value"},
      {R"({"limit":"1x"})", "invalid character 'x' after top-level value"},
      {R"({"limit":""})", "unexpected end of JSON input"},
      {R"({"limit":"true"})", into + "bool into Go value of type int64"},
      {R"({"limit":[]})", into + "array into Go value of type int64"},
      {R"({"serializable":"true"})", into + "string into Go value of type bool"},
      {R"({"serializable":1})", into + "number into Go value of type bool"},
      {R"({"sort_order":"XX"})", R"(unknown value "XX" for enum etcdserverpb.RangeRequest_SortOrder)"},
      {R"({"sort_order":{}})", into + "object into Go value of type etcdserverpb.RangeRequest_SortOrder"},
      {R"({"sort_order":3000000000})",
       into + "number 3000000000 into Go value of type etcdserverpb.RangeRequest_SortOrder"},
  };
  for (const Case& c : cases) {
    etcdserverpb::RangeRequest request;
    EXPECT_EQ(c.error, Message(Decode(c.json, &request))) << c.json;
  }
  etcdserverpb::MemberAddRequest add;
  EXPECT_EQ(into + "number into Go value of type string", Message(Decode(R"({"peerURLs":[5]})", &add)));
  EXPECT_EQ(into + "string into Go value of type []json.RawMessage",
            Message(Decode(R"({"peerURLs":"x"})", &add)));
  EXPECT_EQ("null in the list peerURLs", Message(Decode(R"({"peerURLs":[null]})", &add)));
  etcdserverpb::MemberRemoveRequest remove;
  EXPECT_EQ(into + "number -1 into Go value of type uint64", Message(Decode(R"({"ID":-1})", &remove)));
}

std::string NestedTxn(int depth) {
  std::string json = "{}";
  for (int i = 0; i < depth; ++i) json = R"({"success":[{"request_txn":)" + json + "}]}";
  return json;
}

TEST(JsonMessageTest, DepthIsBounded) {
  etcdserverpb::TxnRequest txn;
  EXPECT_TRUE(Decode(NestedTxn(49), &txn).ok());
  std::string bytes = txn.SerializeAsString();
  EXPECT_TRUE(etcdserverpb::TxnRequest().ParseFromString(bytes));
  etcdserverpb::TxnRequest deeper;
  EXPECT_EQ("exceeded max depth of messages", Message(Decode(NestedTxn(50), &deeper)));
  EXPECT_EQ("exceeded max depth of messages", Message(Decode(NestedTxn(3000), &deeper)));
  // Deep, but of nobody's fields.
  EXPECT_TRUE(Decode(R"({"x":)" + std::string(5000, '[') + std::string(5000, ']') + "}", &deeper).ok());
}

TEST(JsonMessageTest, TextIsEscapedAsGoDoes) {
  etcdserverpb::AuthUserAddRequest user;
  user.set_name("a<b>&\"\\\n\x01\xe2\x80\xa8\xc3\xa4");
  EXPECT_EQ(R"({"name":"a\u003cb\u003e\u0026\"\\\n\u0001\u2028ä"})", Encode(user));
}

// ---- random messages ----

class RandomMessages {
 public:
  explicit RandomMessages(uint64_t seed) : random_(seed) {}

  void Fill(PbMessage* message, int depth) {
    const auto* r = message->GetReflection();
    const Descriptor* type = message->GetDescriptor();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* f = type->field(i);
      if (random_() % 2 == 0 || (f->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && depth == 0)) continue;
      const int count = f->is_repeated() ? static_cast<int>(random_() % 4) : 1;
      for (int k = 0; k < count; ++k) FillOne(message, r, f, depth);
    }
  }

 private:
  void FillOne(PbMessage* m, const google::protobuf::Reflection* r, const FieldDescriptor* f, int depth) {
    const bool repeated = f->is_repeated();
    switch (f->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        return Fill(repeated ? r->AddMessage(m, f) : r->MutableMessage(m, f), depth - 1);
      case FieldDescriptor::CPPTYPE_STRING: {
        const std::string text = f->type() == FieldDescriptor::TYPE_BYTES ? Bytes() : Text();
        return repeated ? r->AddString(m, f, text) : r->SetString(m, f, text);
      }
      case FieldDescriptor::CPPTYPE_INT64:
        return repeated ? r->AddInt64(m, f, Int()) : r->SetInt64(m, f, Int());
      case FieldDescriptor::CPPTYPE_UINT64:
        return repeated ? r->AddUInt64(m, f, static_cast<uint64_t>(Int()))
                        : r->SetUInt64(m, f, static_cast<uint64_t>(Int()));
      case FieldDescriptor::CPPTYPE_INT32:
        return r->SetInt32(m, f, static_cast<int32_t>(random_()));
      case FieldDescriptor::CPPTYPE_UINT32:
        return r->SetUInt32(m, f, static_cast<uint32_t>(random_()));
      case FieldDescriptor::CPPTYPE_BOOL:
        return r->SetBool(m, f, random_() % 2 == 0);
      case FieldDescriptor::CPPTYPE_ENUM: {
        const int n = static_cast<int>(random_() % static_cast<uint64_t>(f->enum_type()->value_count() + 1));
        const int value = n < f->enum_type()->value_count() ? f->enum_type()->value(n)->number() : 4711;
        return repeated ? r->AddEnumValue(m, f, value) : r->SetEnumValue(m, f, value);
      }
      default:
        FAIL() << f->full_name() << " is of a kind that the gateway does not know";
    }
  }
  int64_t Int() {
    static constexpr int64_t kOdd[] = {0, 1, -1, INT64_MAX, INT64_MIN};
    return random_() % 2 == 0 ? kOdd[random_() % 5] : static_cast<int64_t>(random_());
  }
  std::string Bytes() {
    std::string bytes(random_() % 9, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return bytes;
  }
  std::string Text() {
    static constexpr std::string_view kParts[] = {"a", "\"", "\\",   "<&>",          "ä", "€",
                                                  "😀", "\n", "\x01", "\xe2\x80\xa8", " "};
    std::string text;
    for (uint64_t n = random_() % 6; n > 0; --n) text += kParts[random_() % std::size(kParts)];
    return text;
  }

  std::mt19937_64 random_;
};

TEST(JsonMessageTest, EveryMessageOfEveryRouteComesBackAsItWas) {
  RandomMessages random(TestSeed());
  for (const Route& route : Routes()) {
    for (const PbMessage* prototype : {route.request, route.response}) {
      for (int i = 0; i < 100; ++i) {
        const std::unique_ptr<PbMessage> message(prototype->New());
        random.Fill(message.get(), 4);
        const std::string json = Encode(*message);
        const std::unique_ptr<PbMessage> back(prototype->New());
        const Status status = Decode(json, back.get());
        ASSERT_TRUE(status.ok()) << json << ": " << status;
        ASSERT_TRUE(google::protobuf::util::MessageDifferencer::Equals(*message, *back)) << json;
        ASSERT_EQ(json, Encode(*back));
      }
    }
  }
}

TEST(JsonMessageTest, DamagedTextNeverEndsInMoreThanAnError) {
  std::mt19937_64 random(TestSeed());
  RandomMessages messages(random());
  for (int i = 0; i < 3000; ++i) {
    const Route& route = Routes()[random() % Routes().size()];
    const std::unique_ptr<PbMessage> message(route.request->New());
    messages.Fill(message.get(), 4);
    std::string json = Encode(*message);
    for (uint64_t n = 1 + random() % 4; n > 0; --n) {
      const size_t at = random() % (json.size() + 1);
      static constexpr std::string_view kBytes = "{}[]\",:\\u0-9.eEntf \xff\x80";
      if (random() % 3 == 0) {
        json.erase(at, random() % 4);
      } else {
        json.insert(at, 1, kBytes[random() % kBytes.size()]);
      }
    }
    const std::unique_ptr<PbMessage> back(route.request->New());
    if (Decode(json, back.get()).ok()) {
      // What was understood is a message like any other.
      EXPECT_FALSE(Encode(*back).empty());
    }
  }
}

// ---- routes ----

TEST(RoutesTest, AreThoseOfTheOriginal) {
  EXPECT_EQ(51u, Routes().size());
  const Route* range = FindRoute("/v3/kv/range");
  ASSERT_NE(nullptr, range);
  EXPECT_EQ("/etcdserverpb.KV/Range", range->GrpcPath());
  EXPECT_FALSE(range->server_streaming);
  const Route* watch = FindRoute("/v3/watch");
  ASSERT_NE(nullptr, watch);
  EXPECT_TRUE(watch->client_streaming && watch->server_streaming);
  const Route* snapshot = FindRoute("/v3/maintenance/snapshot");
  EXPECT_TRUE(!snapshot->client_streaming && snapshot->server_streaming);
  EXPECT_EQ(FindRoute("/v3/lease/leases")->GrpcPath(), FindRoute("/v3/kv/lease/leases")->GrpcPath());
  for (const std::string_view path : {"", "/", "/v3/", "/v3/kv", "/v3/kv/range/", "/v3/kv/rang", "/v3/zzz"}) {
    EXPECT_EQ(nullptr, FindRoute(path)) << path;
  }
}

}  // namespace
}  // namespace quorate::gateway
