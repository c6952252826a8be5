// What is refused of HTTP/1.1 and what is not, as by Go's net/http: the answers were compared with etcd's.
#include <gtest/gtest.h>

#include <string>

#include "net/http1_test_server.h"

namespace quorate::net {
namespace {

class Http1RulesTest : public Http1Test {
 protected:
  void SetUp() override { Start(); }
  // The first line of the answer to a request with these lines, upon which the connection closes.
  std::string StatusOf(const std::string& lines) {
    requests_.clear();
    const std::string answer = Ask(lines);
    return answer.substr(0, answer.find('\r'));
  }
  static constexpr const char* kOk = "HTTP/1.1 200 OK";
};

TEST_F(Http1RulesTest, TheHost) {
  const std::string missing = "HTTP/1.1 400 Bad Request: missing required Host header";
  const std::string malformed = "HTTP/1.1 400 Bad Request: malformed Host header";
  const struct {
    std::string request;
    std::string status;
  } cases[] = {
      {"GET /x HTTP/1.1\r\n\r\n", missing},
      {"GET http://b/x HTTP/1.1\r\n\r\n", missing},
      {"GET /x HTTP/1.0\r\n\r\n", kOk},
      {"GET /x HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", kOk},
      {"GET /x HTTP/1.1\r\nHost: [::1]:1\r\nConnection: close\r\n\r\n", kOk},
      {"GET /x HTTP/1.1\r\nHost: a_b%zz:x\r\nConnection: close\r\n\r\n", kOk},
      {"GET /x HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "HTTP/1.1 400 Bad Request"},
      {"GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", malformed},
      {"GET /x HTTP/1.0\r\nHost: a b\r\n\r\n", malformed},
      {"GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", malformed},
      {"GET /x HTTP/1.1\r\nHost: a\"b\r\n\r\n", malformed},
      {"GET /x HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", malformed},
      {"GET http://b/x HTTP/1.1\r\nHost: a b\r\n\r\n", malformed},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.status, StatusOf(c.request)) << c.request;
    EXPECT_EQ(c.status == kOk ? 1u : 0u, requests_.size()) << c.request;
  }
  // Go's whole answer to them.
  EXPECT_TRUE(
      Ask("GET /x HTTP/1.1\r\n\r\n").ends_with("\r\n\r\n400 Bad Request: missing required Host header"));
}

TEST_F(Http1RulesTest, TheTarget) {
  const struct {
    std::string target;
    bool good;
  } cases[] = {
      {"/", true},          {"/%41", true},      {"/?%zz", true},    {"*", true},
      {"http://a/x", true}, {"a+b.1-c:x", true}, {"version", false}, {"/%zz", false},
      {"/%4", false},       {":x", false},       {"1a:x", false},    {"?x", false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.good ? kOk : "HTTP/1.1 400 Bad Request",
              StatusOf("GET " + c.target + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"))
        << c.target;
  }
}

TEST_F(Http1RulesTest, Expectations) {
  const auto status = [this](const std::string& expect) {
    return StatusOf("GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect:" + expect + "\r\n\r\n");
  };
  EXPECT_EQ("HTTP/1.1 417 Expectation Failed", status(" foo"));
  EXPECT_EQ("HTTP/1.1 417 Expectation Failed", status(" 100-continues"));
  EXPECT_EQ(kOk, status(""));
  EXPECT_EQ(kOk, status(" 100-Continue"));
  EXPECT_EQ(kOk, status(" foo, 100-continue"));
}

TEST_F(Http1RulesTest, WhoWaitsIsToldToGoOn) {
  RawClient raw(&loop_, port_);
  raw.Write("POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  raw.ReadUntil("HTTP/1.1 100 Continue\r\n\r\n");
  raw.Write("ok");
  raw.ReadUntil("[POST ok]");
  // But not in a version that has no such answer.
  EXPECT_EQ("HTTP/1.1 200 OK",
            StatusOf("POST /x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok"));
}

TEST_F(Http1RulesTest, LinesThatEndInABareLineFeed) {
  EXPECT_EQ(kOk, StatusOf("GET /x HTTP/1.0\n\n"));
  EXPECT_EQ(kOk, StatusOf("GET /x HTTP/1.1\nHost: h\nX-Thing: a\n b\nConnection: close\n\n"));
  ASSERT_EQ(1u, requests_.size());
  EXPECT_EQ("a b", requests_[0].header("x-thing"));
  // A byte at a time, with a body, and one behind the other, with lines of the other kind.
  RawClient raw(&loop_, port_);
  const std::string input =
      "PUT /x HTTP/1.1\nHost: h\nContent-Length: 2\n\n\n\nPOST /x HTTP/1.1\r\nHost: h\r\nContent-Length: "
      "1\r\n\r\naPOST /x HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n2\r\nbc\r\n0\r\n\r\n";
  for (const char c : input) raw.Write({&c, 1});
  raw.ReadUntil("[POST bc]");
  ASSERT_EQ(4u, requests_.size());
  EXPECT_EQ("\n\n", requests_[1].body);
  EXPECT_EQ("a", requests_[2].body);
}

// Where one lot of lines is two for others, a request could hide in another one.
TEST_F(Http1RulesTest, LinesOfBothKindsAreRefused) {
  for (const char* request : {
           "GET /x HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
           "GET /x HTTP/1.1\nHost: h\r\nX: y\r\n\n\n",
           "GET /x HTTP/1.1\nHost: h\n\r\n\n\n",
           "GET /x HTTP/1.1\r\nHost: h\r\nX: y\nContent-Length: 5\r\n\r\nabcde",
           "GET /x HTTP/1.1\nHost: h\nX: y\rContent-Length: 5\n\nabcde",
           "GET /x HTTP/1.1\r\r\nHost: h\r\n\r\n",
           "\nGET /x HTTP/1.1\nHost: h\n\n",
           "\n\n",
           "POST /x HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n2\nbc\n0\n\n\r\n",
           "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\nbc\r\n0\r\n\r\n",
           "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2;a=\nb\r\nbc\r\n0\r\n\r\n",
           "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbc\n0\r\n\r\n",
           "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\nbc\n0\n\n",
           "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbc\r\n0\r\nX: y\n\n",
       }) {
    EXPECT_EQ("HTTP/1.1 400 Bad Request", StatusOf(request)) << request;
    RawClient raw(&loop_, port_);
    std::string answer;
    for (const char* c = request; *c != 0 && answer.empty(); ++c) {  // A byte at a time.
      raw.Write({c, 1});
      answer = raw.Read();
    }
    if (answer.empty()) answer = raw.ReadAll();
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request\r\n")) << request << answer;
    EXPECT_TRUE(requests_.empty()) << request;
  }
  const std::string line = "X: " + std::string(1000, 'x') + "\n";
  std::string head = "GET /x HTTP/1.1\nHost: h\n";
  for (int i = 0; i < 70; ++i) head += line;
  EXPECT_EQ("HTTP/1.1 431 Request Header Fields Too Large", StatusOf(head));
  EXPECT_EQ("HTTP/1.1 431 Request Header Fields Too Large", StatusOf(head + "\n"));
}

TEST_F(Http1RulesTest, ABodyInAnotherCodingIsNoRequest) {
  const std::string answer =
      Ask("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: "
          "h\r\n\r\n");
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 501 Not Implemented\r\n")) << answer;
  EXPECT_NE(std::string::npos, answer.find("Connection: close\r\n"));
  EXPECT_TRUE(requests_.empty());
}

// Where a request ends must be the same for whoever is between its client and us.
TEST_F(Http1RulesTest, WhereABodyEndsIsNeverInDoubt) {
  const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
  for (const char* fields : {
           "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
           "Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
           "Content-Length: 40\r\ncontent-length: 0\r\n\r\n",
           "Content-Length: 0, 40\r\n\r\n",
           "Content-Length: 0, 0\r\n\r\n",
           "Content-Length: 0,0\r\n\r\n",
           "Content-Length: 0,\r\n\r\n",
           "Content-Length: 0\r\nContent-Length: 00\r\n\r\n",
           "Content-Length: 0\r\nContent-Length: 0\r\nContent-Length: 0, 0\r\n\r\n",
           "Content-Length: -0\r\n\r\n",
           "Content-Length: +0\r\n\r\n",
           "Content-Length: 0x0\r\n\r\n",
           "Content-Length:\r\n\r\n",
           "Content-Length : 0\r\n\r\n",
           "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: \x0b"
           "chunked\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n 0\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
           "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
       }) {
    EXPECT_EQ("HTTP/1.1 400 Bad Request",
              StatusOf("POST /x HTTP/1.1\r\nHost: h\r\n" + std::string(fields) + smuggled))
        << fields;
    EXPECT_TRUE(requests_.empty()) << fields;
  }
  for (const char* coding :
       {"chunked, chunked", "gzip, chunked", "chunked, gzip", "identity", "xchunked", ""}) {
    EXPECT_EQ("HTTP/1.1 501 Not Implemented", StatusOf("POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: " +
                                                       std::string(coding) + "\r\n\r\n0\r\n\r\n" + smuggled))
        << coding;
    EXPECT_TRUE(requests_.empty()) << coding;
  }
  // The same number again leaves no doubt, as for Go.
  EXPECT_EQ(
      kOk,
      StatusOf("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nConnection: close\r\ncontent-length:\t2 "
               "\r\n\r\nab"));
  ASSERT_EQ(1u, requests_.size());
  EXPECT_EQ("ab", requests_[0].body);
  // Chunks of a version that has none: for others the body may be empty.
  EXPECT_EQ(kOk, StatusOf("POST /x HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: "
                          "chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n" +
                          smuggled));
  ASSERT_EQ(1u, requests_.size());
  EXPECT_EQ("/x", requests_[0].path);
}

TEST_F(Http1RulesTest, MalformedInputGetsOneErrorAndTheDoor) {
  struct Case {
    std::string input;
    std::string status;
  };
  const Case cases[] = {
      {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"},
      {"GET /\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"},
      {"GET / HTTP/9.9\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "400"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999\r\n\r\n", "413"},
      {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775808\r\n\r\n", "400"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(2'000'000, 'x') + "\r\n\r\n", "431"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(100'000, 'x') + "\r\n\r\n", "431"},
      {"GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(65'534, 'x') + "\r\n\r\n", "431"},
      {"PRI * HTTP/1.1\r\nHost: h h\r\n\r\n\x01", "400"},
  };
  for (const Case& c : cases) {
    requests_.clear();
    const std::string answer = Ask(c.input);
    EXPECT_TRUE(
        answer.starts_with("HTTP/1.1 " + c.status + " " + std::string(HttpReason(std::stoi(c.status)))))
        << c.input.substr(0, 60) << " -> " << answer;
    EXPECT_EQ(answer.rfind("HTTP/1.1"), 0u) << answer;
    EXPECT_TRUE(requests_.empty()) << c.input.substr(0, 60);
  }
  ASSERT_TRUE(TurnUntil(&loop_, [&] { return server_->stats().connections_open == 0; }));
}

}  // namespace
}  // namespace quorate::net
