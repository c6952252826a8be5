#include "net/tls_door.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <list>
#include <thread>
#include <utility>
#include <vector>

#include "base/log_limit.h"
#include "base/logging.h"
#include "net/descriptor.h"
#include "net/lookup_threads.h"
#include "net/loop_impl.h"

namespace quorate::net {
namespace {

// What Go's HTTP server says, byte for byte.
constexpr std::string_view kPlainHttpAnswer =
    "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
// After the alert or answer the client has this long to close, so that our close does not destroy it.
constexpr std::chrono::seconds kLinger(1);
// As many as wait in the room may be on their way to it, or from it.
constexpr size_t kGuestsPerWaiting = 2;
// The first byte of a TLS connection: a record of the handshake.
constexpr uint8_t kHandshakeRecord = 0x16;

}  // namespace

TlsGuest::~TlsGuest() {
  if (fd_ >= 0) close(fd_);
}

// Everything but Stop is the door's thread's.
class TlsDoor::Room {
 public:
  class Visit;

  explicit Room(size_t waiting_max) : waiting_max_(waiting_max), lookups_(&loop_) {
    loop_.AddEndOfRound(Loop::Stage::kNet, [this] { gone_.clear(); });
    thread_ = std::thread([this] { loop_.Run(); });
  }
  // The thread is joined first: the rest is nobody else's then.
  ~Room();

  Loop& loop() { return loop_; }
  // Any thread. A place for a guest on his way, until nobody holds it any more; null: there are too many.
  std::shared_ptr<void> TakePlace();
  LookupThreads& lookups() { return lookups_; }
  void Enter(std::shared_ptr<TlsGuest> guest, std::shared_ptr<const TlsListening> listening, Admit admit);
  // Destroyed at the end of the round.
  void Leave(Visit* visit);
  void LogRefusal(const TlsListening& listening, const TlsGuest& guest, const TlsStream* stream,
                  std::string_view why, bool ended);

 private:
  const size_t waiting_max_;
  // Guests on their way: to this thread, through it, and from it to their server's.
  const std::shared_ptr<std::atomic<size_t>> guests_ = std::make_shared<std::atomic<size_t>>(0);
  Loop loop_;
  LookupThreads lookups_;
  std::list<std::unique_ptr<Visit>> visits_;  // Oldest first.
  std::vector<std::unique_ptr<Visit>> gone_;
  log::LineLimit log_limit_{"rejected connections"};
  std::thread thread_;
};

// One guest. States: (its first byte is waited for ->) shaking -> (its name is looked up) -> admitted; or
// refused, then lingering. It has left when guest_ is null.
class TlsDoor::Room::Visit : public Descriptor::Events {
 public:
  Visit(Room* room, std::shared_ptr<TlsGuest> guest, std::shared_ptr<const TlsListening> listening,
        Admit admit)
      : room_(room), guest_(std::move(guest)), listening_(std::move(listening)), admit_(std::move(admit)) {}
  ~Visit() override { room_->loop().Cancel(timer_); }

  void Begin() {
    // The descriptor closes the socket from now on, until it is released to the guest again.
    peer_ = guest_->peer();
    descriptor_ = std::make_unique<Descriptor>(room_->loop().impl(), guest_->Take(), this);
    SetTimer(listening_->handshake_timeout);
    if (!listening_->clear_too) return BeginShaking();
    descriptor_->WaitReadable();
  }

  void OnReadable() override {
    if (lingering_) return Drain();
    stream_ == nullptr ? LookAtFirstByte() : Step();
  }
  void OnWritable() override {
    if (!lingering_) Step();
  }
  void Evict() {
    room_->LogRefusal(*listening_, *guest_, nullptr, "too many handshakes are under way", false);
    Leave();
  }

  std::list<std::unique_ptr<Visit>>::iterator place;

 private:
  void BeginShaking() {
    StatusOr<TlsSession> session = listening_->context->NewSession();
    if (!session.ok()) return Refuse(Message(session.status()));
    stream_ = TlsStream::Server(*std::move(session));
    stream_->set_below(descriptor_.get());
    descriptor_->WaitReadable();
  }

  void LookAtFirstByte() {
    uint8_t first = 0;
    const ssize_t n = recv(descriptor_->fd(), &first, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return descriptor_->WaitReadable();
    if (n <= 0) return Leave();
    if (first != kHandshakeRecord) return Admit();
    BeginShaking();
    if (stream_ != nullptr) Step();
  }

  void SetTimer(std::chrono::nanoseconds delay) {
    room_->loop().Cancel(timer_);
    timer_ = room_->loop().After(delay, [this] {
      timer_ = 0;
      if (!lingering_) room_->LogRefusal(*listening_, *guest_, stream_.get(), "i/o timeout", false);
      Leave();
    });
  }

  void Step() {
    if (checking_) return;
    if (!shaken_) {
      switch (stream_->Shake()) {
        case TlsStream::Progress::kAgain:
          descriptor_->WaitReadable();
          if (!stream_->Flush()) descriptor_->WaitWritable();
          return;
        case TlsStream::Progress::kFailed:
          return OnFailed();
        case TlsStream::Progress::kDone:
          shaken_ = true;
      }
    }
    // The client must have our last words before somebody else writes.
    if (!stream_->Flush()) return descriptor_->WaitWritable();
    CheckAddress();
  }

  void OnFailed() {
    if (stream_->SawPlainHttp()) descriptor_->Write(kPlainHttpAnswer.data(), kPlainHttpAnswer.size());
    Refuse(stream_->failure());
  }

  void CheckAddress() {
    const std::string address = AddressOfPeer(peer_);
    if (!listening_->check_addresses || address.empty() || !stream_->has_peer_certificate()) return Admit();
    CertificateNames names = stream_->peer_names();
    if (const std::optional<Status> verdict = CheckAddressQuickly(names, address)) return OnVerdict(*verdict);
    checking_ = true;
    room_->loop().Cancel(std::exchange(timer_, 0));
    auto verdict = std::make_shared<Status>();
    const bool running = room_->lookups().Run(
        [verdict, names = std::move(names), address, listening = listening_] {
          *verdict = CheckAddressByName(names, address, listening->names);
        },
        [verdict, visit = std::weak_ptr<Visit*>(self_)] {
          if (const auto alive = visit.lock()) (*alive)->OnVerdict(*verdict);
        });
    if (!running) Refuse("too many names wait for the name server");
  }

  void OnVerdict(const Status& verdict) {
    if (left_) return;
    if (!verdict.ok()) return Refuse(Message(verdict));
    Admit();
  }

  void Admit() {
    auto guest = std::make_shared<TlsGuest>(descriptor_->Release(), peer_);
    guest->place = guest_->place;
    if (stream_ != nullptr) stream_->set_below(nullptr);
    guest->stream = std::move(stream_);
    admit_(std::move(guest));
    Leave();
  }

  void Refuse(std::string_view why) {
    if (left_ || lingering_) return;
    room_->LogRefusal(*listening_, *guest_, stream_.get(), why, stream_ != nullptr && stream_->ended());
    if (stream_ != nullptr) stream_->SayGoodbye();
    lingering_ = true;
    if (stream_ == nullptr || stream_->ended() || !descriptor_->CloseWrite()) return Leave();
    SetTimer(kLinger);
    descriptor_->WaitReadable();
  }

  void Drain() {
    char dropped[4096];
    ssize_t n = 0;
    // Bounded: whoever sends on has had his answer.
    for (int i = 0; i < 16 && (n = descriptor_->Read(dropped, sizeof(dropped))) > 0; ++i) {
    }
    if (n == ByteStream::kWouldBlock) return descriptor_->WaitReadable();
    Leave();
  }

  void Leave() {
    if (std::exchange(left_, true)) return;
    room_->loop().Cancel(std::exchange(timer_, 0));
    self_.reset();
    descriptor_->Close();
    room_->Leave(this);
  }

  Room* const room_;
  const std::shared_ptr<TlsGuest> guest_;
  const std::shared_ptr<const TlsListening> listening_;
  const TlsDoor::Admit admit_;
  std::shared_ptr<Visit*> self_ = std::make_shared<Visit*>(this);  // For whoever may come too late.
  std::string peer_;
  std::unique_ptr<Descriptor> descriptor_;
  std::unique_ptr<TlsStream> stream_;
  Loop::TimerId timer_ = 0;
  bool shaken_ = false;
  bool checking_ = false;
  bool lingering_ = false;
  bool left_ = false;
};

std::shared_ptr<void> TlsDoor::Room::TakePlace() {
  const std::shared_ptr<std::atomic<size_t>> guests = guests_;
  if (guests->fetch_add(1) >= kGuestsPerWaiting * waiting_max_) {
    guests->fetch_sub(1);
    return nullptr;
  }
  return {guests.get(), [guests](void*) { guests->fetch_sub(1); }};
}

TlsDoor::Room::~Room() {
  loop_.Stop();
  thread_.join();
  visits_.clear();
  gone_.clear();
}

void TlsDoor::Room::Enter(std::shared_ptr<TlsGuest> guest, std::shared_ptr<const TlsListening> listening,
                          Admit admit) {
  if (visits_.size() >= waiting_max_) visits_.front()->Evict();
  visits_.push_back(std::make_unique<Visit>(this, std::move(guest), std::move(listening), std::move(admit)));
  Visit* const visit = visits_.back().get();
  visit->place = std::prev(visits_.end());
  visit->Begin();
}

void TlsDoor::Room::Leave(Visit* visit) {
  gone_.push_back(std::move(*visit->place));
  visits_.erase(visit->place);
}

// An end before the first byte is what health checks of load balancers and port scans leave.
void TlsDoor::Room::LogRefusal(const TlsListening& listening, const TlsGuest& guest, const TlsStream* stream,
                               std::string_view why, bool ended) {
  if (!log_limit_.Admit(loop_.now())) return;
  const log::Level level = ended ? log::Level::kDebug : log::Level::kWarn;
  const std::string message = "rejected connection on " + listening.endpoint + " endpoint";
  const std::string server_name = stream == nullptr ? std::string() : stream->server_name();
  if (stream == nullptr || !stream->has_peer_certificate()) {
    QUORATE_LOG_(level, message, {"remote-addr", guest.peer()}, {"server-name", server_name}, {"error", why});
    return;
  }
  const CertificateNames names = stream->peer_names();
  QUORATE_LOG_(level, message, {"remote-addr", guest.peer()}, {"server-name", server_name},
               {"ip-addresses", names.ip_addresses}, {"dns-names", names.dns_names}, {"error", why});
}

TlsDoor::TlsDoor(size_t waiting_max)
    : room_(std::make_unique<Room>(std::clamp<size_t>(waiting_max, 1, kWaitingMax))) {}
TlsDoor::~TlsDoor() = default;

void TlsDoor::Enter(std::shared_ptr<TlsGuest> guest, std::shared_ptr<const TlsListening> listening,
                    Admit admit) {
  Room* const room = room_.get();
  guest->place = room->TakePlace();
  if (guest->place == nullptr) {
    LOG_WARN_LIMITED("closes connections before their handshake: too many are on their way",
                     {"remote-addr", guest->peer()});
    return;
  }
  room->loop().Post(
      [room, guest = std::move(guest), listening = std::move(listening), admit = std::move(admit)]() mutable {
        room->Enter(std::move(guest), std::move(listening), std::move(admit));
      });
}

}  // namespace quorate::net
