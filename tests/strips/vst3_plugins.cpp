// Three small VST3 plug-ins in one bundle, written against the binary interface itself: what a test compiles where there
// is a compiler, to hold the host against real plug-ins. "Level" is a gain, "Late" the same 137 frames later, and
// "Fragile" dereferences nothing at all as soon as a sample exceeds 2 (pedalboard tries what it loads with noise at full scale).
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

using Id = const char*;
using Text = char16_t[128];
enum : int32_t { no_interface = -1, ok = 0, refused = 1, invalid = 2, not_implemented = 3 };

#define ID(name, a, b, c, d)                                                                                  \
    static const unsigned char name[16] = {a >> 24, (a >> 16) & 255, (a >> 8) & 255, a & 255,                 \
                                           b >> 24, (b >> 16) & 255, (b >> 8) & 255, b & 255,                 \
                                           c >> 24, (c >> 16) & 255, (c >> 8) & 255, c & 255,                 \
                                           d >> 24, (d >> 16) & 255, (d >> 8) & 255, d & 255};
ID(unknown_id, 0x00000000u, 0x00000000u, 0xC0000000u, 0x00000046u)
ID(base_id, 0x22888DDBu, 0x156E45AEu, 0x8358B348u, 0x08190625u)
ID(factory_id, 0x7A4D811Cu, 0x52114A1Fu, 0xAED9D2EEu, 0x0B43BF9Fu)
ID(component_id, 0xE831FF31u, 0xF2D54301u, 0x928EBBEEu, 0x25697802u)
ID(processor_id, 0x42043F99u, 0xB7DA453Cu, 0xA569E79Du, 0x9AAEC33Du)
ID(controller_id, 0xDCD7BBE3u, 0x7742448Du, 0xA874AACCu, 0x979C759Eu)

static bool same(Id one, const unsigned char* other) { return std::memcmp(one, other, 16) == 0; }

struct FactoryInfo {
    char vendor[64], url[256], email[128];
    int32_t flags;
};
struct ClassInfo {
    char id[16];
    int32_t cardinality;
    char category[32], name[64];
};
struct BusInfo {
    int32_t media, direction, channels;
    Text name;
    int32_t type;
    uint32_t flags;
};
struct Setup {
    int32_t mode, sample_size, most_frames;
    double sample_rate;
};
struct Buses {
    int32_t channels;
    uint64_t silence;
    float** samples;
};
struct ParameterInfo {
    uint32_t id;
    Text title, short_title, units;
    int32_t steps;
    double start;
    int32_t unit, flags;
};

struct Unknown {
    virtual int32_t queryInterface(Id id, void** found) = 0;
    virtual uint32_t addRef() = 0;
    virtual uint32_t release() = 0;
};
struct Queue : Unknown {
    virtual uint32_t id() = 0;
    virtual int32_t points() = 0;
    virtual int32_t point(int32_t index, int32_t& offset, double& value) = 0;
    virtual int32_t add(int32_t offset, double value, int32_t& index) = 0;
};
struct Changes : Unknown {
    virtual int32_t count() = 0;
    virtual Queue* queue(int32_t index) = 0;
    virtual Queue* add(const uint32_t& id, int32_t& index) = 0;
};
struct Stream : Unknown {
    virtual int32_t read(void* data, int32_t bytes, int32_t* done) = 0;
    virtual int32_t write(void* data, int32_t bytes, int32_t* done) = 0;
    virtual int32_t seek(int64_t place, int32_t mode, int64_t* result) = 0;
    virtual int32_t tell(int64_t* place) = 0;
};
struct Data {
    int32_t mode, sample_size, frames, inputs, outputs;
    Buses *in, *out;
    Changes *changes_in, *changes_out;
    Unknown *events_in, *events_out;
    void* context;
};

struct Base : Unknown {
    virtual int32_t initialize(Unknown* context) = 0;
    virtual int32_t terminate() = 0;
};
struct Component : Base {
    virtual int32_t getControllerClassId(char* id) = 0;
    virtual int32_t setIoMode(int32_t mode) = 0;
    virtual int32_t getBusCount(int32_t media, int32_t direction) = 0;
    virtual int32_t getBusInfo(int32_t media, int32_t direction, int32_t index, BusInfo& info) = 0;
    virtual int32_t getRoutingInfo(void* in, void* out) = 0;
    virtual int32_t activateBus(int32_t media, int32_t direction, int32_t index, uint8_t state) = 0;
    virtual int32_t setActive(uint8_t state) = 0;
    virtual int32_t setState(Stream* stream) = 0;
    virtual int32_t getState(Stream* stream) = 0;
};
struct Processor : Unknown {
    virtual int32_t setBusArrangements(uint64_t* in, int32_t ins, uint64_t* out, int32_t outs) = 0;
    virtual int32_t getBusArrangement(int32_t direction, int32_t index, uint64_t& speakers) = 0;
    virtual int32_t canProcessSampleSize(int32_t size) = 0;
    virtual uint32_t getLatencySamples() = 0;
    virtual int32_t setupProcessing(Setup& setup) = 0;
    virtual int32_t setProcessing(uint8_t state) = 0;
    virtual int32_t process(Data& data) = 0;
    virtual uint32_t getTailSamples() = 0;
};
struct Controller : Base {
    virtual int32_t setComponentState(Stream* stream) = 0;
    virtual int32_t setControllerState(Stream* stream) = 0;
    virtual int32_t getControllerState(Stream* stream) = 0;
    virtual int32_t getParameterCount() = 0;
    virtual int32_t getParameterInfo(int32_t index, ParameterInfo& info) = 0;
    virtual int32_t getParamStringByValue(uint32_t id, double value, char16_t* text) = 0;
    virtual int32_t getParamValueByString(uint32_t id, char16_t* text, double& value) = 0;
    virtual double normalizedParamToPlain(uint32_t id, double value) = 0;
    virtual double plainParamToNormalized(uint32_t id, double value) = 0;
    virtual double getParamNormalized(uint32_t id) = 0;
    virtual int32_t setParamNormalized(uint32_t id, double value) = 0;
    virtual int32_t setComponentHandler(Unknown* handler) = 0;
    virtual void* createView(Id name) = 0;
};

static void say(char16_t* out, const char* text) {
    size_t at = 0;
    for (; text[at] && at < 127; at++) out[at] = text[at];
    out[at] = 0;
}

enum Kind { level, late, fragile };
static const char* const names[] = {"Level", "Late", "Fragile"};
static const int latency = 137;

class Effect : public Component, public Processor, public Controller {
  public:
    explicit Effect(Kind kind) : kind_(kind) {}
    virtual ~Effect() = default;

    int32_t queryInterface(Id id, void** found) override {
        *found = nullptr;
        if (same(id, unknown_id) || same(id, base_id) || same(id, component_id)) *found = static_cast<Component*>(this);
        if (same(id, processor_id)) *found = static_cast<Processor*>(this);
        if (same(id, controller_id)) *found = static_cast<Controller*>(this);
        if (!*found) return no_interface;
        users_++;
        return ok;
    }
    uint32_t addRef() override { return ++users_; }
    uint32_t release() override {
        uint32_t left = --users_;
        if (!left) delete this;
        return left;
    }
    int32_t initialize(Unknown*) override { return ok; }
    int32_t terminate() override { return ok; }

    int32_t getControllerClassId(char*) override { return not_implemented; }
    int32_t setIoMode(int32_t) override { return ok; }
    int32_t getBusCount(int32_t media, int32_t) override { return media == 0 ? 1 : 0; }
    int32_t getBusInfo(int32_t media, int32_t direction, int32_t index, BusInfo& info) override {
        if (media != 0 || index != 0) return invalid;
        info = {0, direction, channels(), {}, 0, 1};
        say(info.name, direction ? "Output" : "Input");
        return ok;
    }
    int32_t getRoutingInfo(void*, void*) override { return not_implemented; }
    int32_t activateBus(int32_t, int32_t, int32_t, uint8_t) override { return ok; }
    int32_t setActive(uint8_t state) override {
        if (state) line_.assign(2, std::vector<float>(kind_ == late ? latency : 0, 0.0f));
        return ok;
    }
    int32_t setState(Stream* stream) override {
        int32_t done = 0;
        return stream->read(&value_, sizeof value_, &done);
    }
    int32_t getState(Stream* stream) override {
        int32_t done = 0;
        return stream->write(&value_, sizeof value_, &done);
    }

    int32_t setBusArrangements(uint64_t* in, int32_t ins, uint64_t* out, int32_t outs) override {
        if (ins != 1 || outs != 1 || in[0] != out[0]) return refused;
        int wanted = __builtin_popcountll(in[0]);
        if (wanted != 1 && wanted != 2) return refused;
        speakers_ = in[0];
        return ok;
    }
    int32_t getBusArrangement(int32_t, int32_t index, uint64_t& speakers) override {
        speakers = speakers_;
        return index == 0 ? ok : invalid;
    }
    int32_t canProcessSampleSize(int32_t size) override { return size == 0 ? ok : refused; }
    uint32_t getLatencySamples() override { return kind_ == late ? latency : 0; }
    int32_t setupProcessing(Setup&) override { return ok; }
    int32_t setProcessing(uint8_t) override { return ok; }
    int32_t process(Data& data) override {
        for (int32_t at = 0; data.changes_in && at < data.changes_in->count(); at++) {
            Queue* queue = data.changes_in->queue(at);
            int32_t offset = 0;
            if (queue && queue->id() == 0 && queue->points()) queue->point(queue->points() - 1, offset, value_);
        }
        if (!data.inputs || !data.outputs) return ok;
        const float gain = static_cast<float>(std::pow(10.0, db(value_) / 20.0));
        const int32_t used = data.in->channels < data.out->channels ? data.in->channels : data.out->channels;
        for (int32_t channel = 0; channel < used && channel < 2; channel++) {
            std::vector<float> sound(line_[channel]);
            sound.insert(sound.end(), data.in->samples[channel], data.in->samples[channel] + data.frames);
            for (int32_t frame = 0; frame < data.frames; frame++) {
                if (kind_ == fragile && std::fabs(sound[frame]) > 2.0f) *nothing_ = 1;
                data.out->samples[channel][frame] = value_ == 0.5 ? sound[frame] : sound[frame] * gain;
            }
            line_[channel].assign(sound.begin() + data.frames, sound.end());
        }
        return ok;
    }
    uint32_t getTailSamples() override { return 0; }

    int32_t setComponentState(Stream* stream) override { return setState(stream); }
    int32_t setControllerState(Stream*) override { return ok; }
    int32_t getControllerState(Stream*) override { return ok; }
    int32_t getParameterCount() override { return 1; }
    int32_t getParameterInfo(int32_t index, ParameterInfo& info) override {
        if (index != 0) return invalid;
        std::memset(&info, 0, sizeof info);
        say(info.title, "Gain");
        say(info.units, "dB");
        info.start = 0.5;
        info.flags = 1;
        return ok;
    }
    int32_t getParamStringByValue(uint32_t, double value, char16_t* text) override {
        char shown[32];
        std::snprintf(shown, sizeof shown, "%.2f", db(value));
        say(text, shown);
        return ok;
    }
    int32_t getParamValueByString(uint32_t, char16_t* text, double& value) override {
        char plain[64] = {};
        for (int at = 0; at < 63 && text[at]; at++) plain[at] = static_cast<char>(text[at]);
        value = plainParamToNormalized(0, std::atof(plain));
        return ok;
    }
    double normalizedParamToPlain(uint32_t, double value) override { return db(value); }
    double plainParamToNormalized(uint32_t, double value) override { return (value + 24.0) / 48.0; }
    double getParamNormalized(uint32_t) override { return value_; }
    int32_t setParamNormalized(uint32_t, double value) override {
        value_ = value;
        return ok;
    }
    int32_t setComponentHandler(Unknown*) override { return ok; }
    void* createView(Id) override { return nullptr; }

  private:
    static double db(double value) { return 48.0 * value - 24.0; }
    int32_t channels() const { return __builtin_popcountll(speakers_); }

    Kind kind_;
    uint32_t users_ = 1;
    uint64_t speakers_ = 3;
    double value_ = 0.5;
    volatile int* nothing_ = nullptr;
    std::vector<std::vector<float>> line_{2};
};

struct Factory : Unknown {
    virtual int32_t getFactoryInfo(FactoryInfo* info) {
        std::memset(info, 0, sizeof *info);
        std::strcpy(info->vendor, "test");
        return ok;
    }
    virtual int32_t countClasses() { return COUNT; }
    virtual int32_t getClassInfo(int32_t index, ClassInfo* info) {
        if (index < 0 || index >= COUNT) return invalid;
        std::memset(info, 0, sizeof *info);
        std::memset(info->id, 0x51, 16);
        info->id[15] = static_cast<char>(index);
        info->cardinality = 0x7FFFFFFF;
        std::strcpy(info->category, "Audio Module Class");
        std::strcpy(info->name, names[index]);
        return ok;
    }
    virtual int32_t createInstance(Id id, Id interface, void** found) {
        *found = nullptr;
        if (id[0] != 0x51 || id[15] < 0 || id[15] >= COUNT) return no_interface;
        auto* effect = new Effect(static_cast<Kind>(id[15]));
        int32_t result = effect->queryInterface(interface, found);
        effect->release();
        return result;
    }
    int32_t queryInterface(Id id, void** found) override {
        *found = same(id, unknown_id) || same(id, factory_id) ? this : nullptr;
        return *found ? ok : no_interface;
    }
    uint32_t addRef() override { return 1; }
    uint32_t release() override { return 1; }
};

extern "C" {
__attribute__((visibility("default"))) bool ModuleEntry(void*) { return true; }
__attribute__((visibility("default"))) bool ModuleExit() { return true; }
__attribute__((visibility("default"))) void* GetPluginFactory() {
    static Factory factory;
    return &factory;
}
}
