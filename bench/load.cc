// quorate_load: a load generator for one etcd endpoint, cheap enough to leave the server the bottleneck on
// two cores.
//
//   quorate_load PORT WORKLOAD [--inflight N] [--connections C] [--seconds S] [--requests N] [--rate R]
//                [--keys K] [--value-bytes V] [--watchers W] [--tls 1] [--cert FILE --key FILE]
//                [--token TOKEN]
//
// WORKLOAD is one of workload.h, or keepalive (a stream and a lease for each call under way), watch (W
// watchers of one key) or watch-spread (W keys, a watcher each). Closed loop with N calls under way, or, with
// --rate, open loop: calls start when they are due, and their latency counts from then. Ends after S seconds
// or N requests, whichever is first. Prints one JSON object; times are microseconds. A call whose grpc-status
// is not 0, or whose answer is missing or too short for what was asked, counts as an error.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/wire.h"
#include "h2_client.h"
#include "histogram.h"
#include "rpc.pb.h"
#include "workload.h"

namespace quorate::bench {
namespace {

namespace pb = etcdserverpb;

constexpr int64_t kTick = 100'000'000;

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Plan {
  uint16_t port = 0;
  std::string workload;
  size_t inflight = 1;
  size_t connections = 0;  // 0: one per 100 calls under way.
  double seconds = 0;      // 0: until the requests are over, or 5 when those have no bound either.
  uint64_t requests = 0;   // 0: until the time is over.
  double rate = 0;         // Calls a second; 0: closed loop.
  uint64_t keys = 10'000;
  size_t value_bytes = 256;
  size_t watchers = 1'000;
  bool tls = false;
  std::string certificate;  // PEM files of the client's own, if the server asks for one.
  std::string key;
  std::string token;  // Of Authenticate; all calls carry it, unless it is empty.
};

struct Tally {
  uint64_t finished = 0;
  uint64_t errors = 0;
  uint64_t events = 0;
  std::map<int, uint64_t> codes;  // grpc-status of what failed; -1: reset, 0: answered too little.
  Histogram latency;
};

SSL_CTX* MakeTls(const Plan& plan) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  constexpr unsigned char kAlpn[] = {2, 'h', '2'};
  SSL_CTX_set_alpn_protos(context, kAlpn, sizeof kAlpn);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  const bool own = !plan.certificate.empty();
  if (own && (SSL_CTX_use_certificate_chain_file(context, plan.certificate.c_str()) != 1 ||
              SSL_CTX_use_PrivateKey_file(context, plan.key.c_str(), SSL_FILETYPE_PEM) != 1)) {
    std::fprintf(stderr, "quorate_load: can't read %s or %s\n", plan.certificate.c_str(), plan.key.c_str());
    std::exit(2);
  }
  return context;
}

class Load : public Handler {
 public:
  explicit Load(const Plan& plan)
      : plan_(plan), mix_(MakeMix(plan.workload, plan.keys, plan.value_bytes)), epoll_(epoll_create1(0)) {
    if (plan.tls) access_.tls = MakeTls(plan);
    access_.token = plan.token;
    const size_t connections =
        plan.connections != 0 ? plan.connections : std::max<size_t>(1, plan.inflight / 100);
    for (size_t i = 0; i < connections; ++i) AddConnection();
  }

  int Run();

  void OnMessage(Call* call, std::string_view message) override;
  void OnEnd(Call* call) override;

 private:
  Connection* AddConnection() {
    connections_.push_back(std::make_unique<Connection>(plan_.port, &access_, this));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLET;
    event.data.ptr = connections_.back().get();
    epoll_ctl(epoll_, EPOLL_CTL_ADD, connections_.back()->fd(), &event);
    return connections_.back().get();
  }
  bool Done() const { return stopping_ || (plan_.requests != 0 && started_ >= plan_.requests); }
  void StartOne(Connection* connection, int64_t due);
  void StartDue();
  int64_t NextDue() const {
    return begun_ + static_cast<int64_t>(static_cast<double>(started_) / plan_.rate * 1e9);
  }
  // Waits for an event at most so long, then serves the connections that had one.
  void Poll(int64_t timeout_nanos);
  void GrantLeases();
  void OpenWatches();
  void PutForWatches(Connection* connection);
  void TakeWatchResponse(std::string_view message);
  void Report(double seconds) const;
  bool IsWatch() const { return plan_.workload.rfind("watch", 0) == 0; }

  Plan plan_;
  Mix mix_;
  int epoll_;
  Access access_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::mt19937_64 random_{42};
  Tally tally_;
  uint64_t started_ = 0;
  uint64_t under_way_ = 0;
  int64_t begun_ = 0;
  bool stopping_ = false;
  size_t turn_ = 0;

  // Lease keep-alive: one stream per lease.
  std::vector<int64_t> leases_;
  struct KeepAlive {
    Connection* connection = nullptr;
    std::string request;
  };
  std::vector<KeepAlive> keepalives_;  // By Call::number.

  // Watches: a put is over when all its watchers have its event. Its number is the value's head.
  struct Put {
    int64_t sent = 0;
    size_t left = 0;
  };
  std::vector<Put> puts_;
  size_t watches_ready_ = 0;
};

// A LeaseKeepAliveResponse without a TTL (field 3) says that the lease is gone.
bool HasTtl(std::string_view message) {
  wire::Reader reader(message);
  while (reader.Next()) {
    if (reader.Is(3, wire::Type::kVarint) && reader.int64() > 0) return true;
  }
  return false;
}

// The value of a watch event: field 5 of the KeyValue that is its field 2.
std::string_view EventValue(std::string_view event) {
  wire::Reader outer(event);
  while (outer.Next()) {
    if (!outer.Is(2, wire::Type::kBytes)) continue;
    wire::Reader inner(outer.bytes());
    while (inner.Next()) {
      if (inner.Is(5, wire::Type::kBytes)) return inner.bytes();
    }
  }
  return {};
}

enum Tag : uint64_t { kUnary = 0, kKeepAlive = 1, kWatch = 2, kGrant = 3, kWatchPut = 4 };

void Load::StartOne(Connection* connection, int64_t due) {
  Template& t = mix_.templates[turn_++ % mix_.templates.size()];
  const uint64_t number = mix_.order == Order::kSequential ? started_ * mix_.stride : random_() % mix_.keys;
  t.SetKey(number);
  Call* call = connection->Start(t.path, t.bytes, true);
  call->tag = kUnary;
  call->sent_nanos = due;
  ++started_;
  ++under_way_;
}

void Load::OnMessage(Call* call, std::string_view message) {
  if (call->tag == kUnary) {
    call->answered = message.size() >= mix_.answer_bytes;
  } else if (call->tag == kWatchPut) {
    call->answered = true;
  } else if (call->tag == kGrant) {
    pb::LeaseGrantResponse granted;
    granted.ParseFromArray(message.data(), static_cast<int>(message.size()));
    leases_.push_back(granted.id());
  } else if (call->tag == kWatch) {
    TakeWatchResponse(message);
  } else if (call->tag == kKeepAlive) {
    const int64_t now = Now();
    if (!HasTtl(message)) {
      ++tally_.errors;
      ++tally_.codes[0];
    }
    tally_.latency.Add(now - call->sent_nanos);
    ++tally_.finished;
    if (Done()) return;
    ++started_;
    call->sent_nanos = now;
    KeepAlive& keepalive = keepalives_[call->number];
    keepalive.connection->Send(call, keepalive.request);
  }
}

void Load::OnEnd(Call* call) {
  if (call->tag == kGrant || call->tag == kKeepAlive || call->tag == kWatch) {
    const bool early = call->tag != kGrant && !stopping_;
    if (call->grpc_status != 0 || early) {
      ++tally_.errors;
      ++tally_.codes[call->grpc_status];
    }
    return;
  }
  if (call->grpc_status != 0 || !call->answered) {
    ++tally_.errors;
    ++tally_.codes[call->grpc_status];
  }
  if (call->tag == kWatchPut) return;
  --under_way_;
  ++tally_.finished;
  tally_.latency.Add(Now() - call->sent_nanos);
  if (plan_.rate == 0 && !Done()) {
    // The calls of one connection keep to it; which one does not matter to the server.
    StartOne(connections_[turn_ % connections_.size()].get(), Now());
  }
}

void Load::StartDue() {
  const int64_t now = Now();
  const double due = static_cast<double>(now - begun_) / 1e9 * plan_.rate;
  constexpr uint64_t kUnderWayMax = 50'000;
  while (static_cast<double>(started_) < due && under_way_ < kUnderWayMax && !Done()) {
    StartOne(connections_[started_ % connections_.size()].get(), NextDue());
  }
}

void Load::Poll(int64_t timeout_nanos) {
  epoll_event events[64];
  const timespec timeout{timeout_nanos / 1'000'000'000, timeout_nanos % 1'000'000'000};
  const int ready = epoll_pwait2(epoll_, events, 64, &timeout, nullptr);
  for (int i = 0; i < ready; ++i) static_cast<Connection*>(events[i].data.ptr)->OnReady();
  for (const auto& connection : connections_) connection->Flush();
}

void Load::GrantLeases() {
  for (size_t i = 0; i < plan_.inflight; ++i) {
    pb::LeaseGrantRequest request;
    request.set_ttl(3600);
    connections_[i % connections_.size()]
        ->Start("/etcdserverpb.Lease/LeaseGrant", request.SerializeAsString(), true)
        ->tag = kGrant;
  }
  while (leases_.size() < plan_.inflight) Poll(kTick);
}

void Load::OpenWatches() {
  const size_t streams = 10;
  std::vector<std::pair<Connection*, Call*>> open;
  for (size_t i = 0; i < plan_.watchers; ++i) {
    pb::WatchRequest request;
    request.mutable_create_request()->set_key(Key(plan_.workload == "watch-spread" ? i : 0));
    const std::string bytes = request.SerializeAsString();
    if (i < streams) {
      Connection* connection = AddConnection();
      Call* call = connection->Start("/etcdserverpb.Watch/Watch", bytes, false);
      call->tag = kWatch;
      open.emplace_back(connection, call);
    } else {
      open[i % streams].first->Send(open[i % streams].second, bytes);
    }
  }
  while (watches_ready_ < plan_.watchers) Poll(kTick);
}

void Load::PutForWatches(Connection* connection) {
  const bool spread = plan_.workload == "watch-spread";
  pb::PutRequest request;
  request.set_key(Key(spread ? random_() % plan_.watchers : 0));
  std::string value(std::max<size_t>(plan_.value_bytes, kDigits), 'v');
  PutDigits(started_, value.data());
  request.set_value(value);
  puts_.push_back({Now(), spread ? 1 : plan_.watchers});
  ++started_;
  connection->Start("/etcdserverpb.KV/Put", request.SerializeAsString(), true)->tag = kWatchPut;
}

void Load::TakeWatchResponse(std::string_view message) {
  wire::Reader response(message);
  while (response.Next()) {
    if (response.Is(3, wire::Type::kVarint)) ++watches_ready_;  // created
    if (response.Is(4, wire::Type::kVarint)) {                  // canceled
      ++tally_.errors;
      ++tally_.codes[0];
    }
    if (!response.Is(11, wire::Type::kBytes)) continue;
    ++tally_.events;
    const std::string_view value = EventValue(response.bytes());
    if (value.size() < kDigits) continue;
    uint64_t number = 0;
    for (char digit : value.substr(0, kDigits)) number = number * 10 + static_cast<uint64_t>(digit - '0');
    if (number >= puts_.size() || puts_[number].left == 0 || --puts_[number].left != 0) continue;
    tally_.latency.Add(Now() - puts_[number].sent);
    ++tally_.finished;
    if (!Done()) PutForWatches(connections_[0].get());
  }
}

void Load::Report(double seconds) const {
  const Histogram& latency = tally_.latency;
  const auto whole = [](uint64_t n) { return static_cast<unsigned long long>(n); };
  std::printf(
      "{\"requests\":%llu,\"errors\":%llu,\"events\":%llu,\"seconds\":%.3f,\"per_second\":%.1f,"
      "\"mean_us\":%.1f,\"p50_us\":%llu,\"p99_us\":%llu,\"max_us\":%llu,\"codes\":{",
      whole(tally_.finished), whole(tally_.errors), whole(tally_.events), seconds,
      static_cast<double>(tally_.finished) / seconds, latency.mean(), whole(latency.Quantile(0.5)),
      whole(latency.Quantile(0.99)), whole(latency.max()));
  const char* comma = "";
  for (const auto& [code, count] : tally_.codes) {
    std::printf("%s\"%d\":%llu", comma, code, whole(count));
    comma = ",";
  }
  std::printf("}}\n");
}

int Load::Run() {
  const bool keepalive = plan_.workload == "keepalive";
  if (keepalive) GrantLeases();
  if (IsWatch()) OpenWatches();
  if (!keepalive && !IsWatch() && mix_.templates.empty()) {
    std::fprintf(stderr, "quorate_load: there is no workload %s\n", plan_.workload.c_str());
    return 2;
  }
  if (plan_.seconds == 0) plan_.seconds = plan_.requests == 0 ? 5 : 3600;
  begun_ = Now();
  const int64_t end = begun_ + static_cast<int64_t>(plan_.seconds * 1e9);
  for (size_t i = 0; i < plan_.inflight && plan_.rate == 0 && !Done(); ++i) {
    Connection* connection = connections_[i % connections_.size()].get();
    if (keepalive) {
      pb::LeaseKeepAliveRequest request;
      request.set_id(leases_[i]);
      const std::string bytes = request.SerializeAsString();
      Call* call = connection->Start("/etcdserverpb.Lease/LeaseKeepAlive", bytes, false);
      call->tag = kKeepAlive;
      call->sent_nanos = Now();
      call->number = keepalives_.size();
      keepalives_.push_back({connection, bytes});
      ++started_;
    } else if (IsWatch()) {
      PutForWatches(connections_[0].get());
    } else {
      StartOne(connection, Now());
    }
  }
  while (!(Done() && under_way_ == 0)) {
    if (plan_.rate != 0) StartDue();
    Poll(plan_.rate != 0 && !Done() ? std::clamp<int64_t>(NextDue() - Now(), 0, kTick) : kTick);
    const int64_t now = Now();
    if (now >= end) {
      stopping_ = true;
      if (keepalive || IsWatch()) break;
    }
    constexpr int64_t kGraceNanos = 60'000'000'000;
    if (stopping_ && now > end + kGraceNanos) {
      tally_.errors += under_way_;
      break;
    }
  }
  Report(static_cast<double>(Now() - begun_) / 1e9);
  return 0;
}

int Main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: quorate_load PORT WORKLOAD [--inflight N] [--seconds S] ...; see load.cc\n");
    return 2;
  }
  Plan plan;
  plan.port = static_cast<uint16_t>(std::atoi(argv[1]));
  plan.workload = argv[2];
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const double value = std::atof(argv[i + 1]);
    const auto whole = static_cast<uint64_t>(value);
    if (name == "--inflight")
      plan.inflight = whole;
    else if (name == "--connections")
      plan.connections = whole;
    else if (name == "--seconds")
      plan.seconds = value;
    else if (name == "--requests")
      plan.requests = whole;
    else if (name == "--rate")
      plan.rate = value;
    else if (name == "--keys")
      plan.keys = std::max<uint64_t>(1, whole);
    else if (name == "--value-bytes")
      plan.value_bytes = whole;
    else if (name == "--watchers")
      plan.watchers = whole;
    else if (name == "--tls")
      plan.tls = whole != 0;
    else if (name == "--cert")
      plan.certificate = argv[i + 1];
    else if (name == "--key")
      plan.key = argv[i + 1];
    else if (name == "--token")
      plan.token = argv[i + 1];
    else
      return std::fprintf(stderr, "quorate_load: unknown option %s\n", name.c_str()), 2;
  }
  return Load(plan).Run();
}

}  // namespace
}  // namespace quorate::bench

int main(int argc, char** argv) { return quorate::bench::Main(argc, argv); }
