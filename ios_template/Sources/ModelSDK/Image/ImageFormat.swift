/// What a model wants its pictures to be; `docs/kinds.md` of ortlab defines every operation.
///
/// A channel value `v` of 0 to 255 becomes `(v * scale - mean) / std`.
public struct ImageFormat: Hashable, Sendable {
    /// Order of an image tensor's dimensions; the batch dimension is 1.
    public enum Layout: String, CaseIterable, Sendable {
        /// Batch, channels, rows, columns.
        case nchw
        /// Batch, rows, columns, channels.
        case nhwc
    }

    /// Which colors an image tensor's channels are.
    public enum ColorOrder: String, CaseIterable, Sendable {
        /// Red, green, blue.
        case rgb
        /// Blue, green, red.
        case bgr
        /// Luma of ITU-R BT.601.
        case gray

        /// Number of channels.
        public var channelCount: Int { self == .gray ? 1 : 3 }
    }

    /// How a picture of any size becomes one of the tensor's.
    public enum ResizeRule: String, CaseIterable, Sendable {
        /// Fills the tensor and ignores the aspect ratio.
        case stretch
        /// Keeps the aspect ratio; the rest is padding, the picture is centred.
        case fit
        /// Keeps the aspect ratio; the rest is padding, the picture is at the top left.
        case fitTopLeft
        /// Fills the height, keeps the aspect ratio as far as the width allows, starts at the left.
        case fitHeight
        /// Keeps the aspect ratio, fills the tensor, and cuts off what sticks out, centred.
        case crop
    }

    /// Element type of an image tensor.
    public enum ChannelType: String, CaseIterable, Sendable {
        /// Whole numbers from 0 to 255.
        case uint8
        /// IEEE 754 binary16.
        case float16
        /// IEEE 754 binary32.
        case float

        /// The same among all element types.
        public var elementType: ElementType {
            switch self {
            case .uint8: return .uint8
            case .float16: return .float16
            case .float: return .float
            }
        }
    }

    /// More elements than any phone has memory for.
    private static let maximumElementCount = 1 << 32

    /// Columns of the tensor.
    public let width: Int
    /// Rows of the tensor.
    public let height: Int
    /// Order of dimensions.
    public let layout: Layout
    /// Of the channels.
    public let colorOrder: ColorOrder
    /// Element type of the tensor.
    public let channelType: ChannelType
    /// Multiplied first; 1/255 gives 0 to 1.
    public let scale: Double
    /// Subtracted after scaling: one value, or one a channel in the tensor's order.
    public let mean: [Double]
    /// Divided by afterwards, likewise.
    public let std: [Double]
    /// How the picture becomes as large as the tensor.
    public let resize: ResizeRule
    /// Channel value of 0 to 255 that the fitting rules fill with.
    public let padding: Double
    /// Whether shrinking averages over all it covers, or takes the nearest samples.
    public let antialias: Bool

    /// Describes what a model wants.
    ///
    /// - Precondition: Sizes are positive, numbers finite, `padding` is from 0 to 255, `mean` and
    ///   `std` have one value or as many as there are channels, and no `std` is zero.
    public init(
        width: Int,
        height: Int,
        layout: Layout = .nchw,
        colorOrder: ColorOrder = .rgb,
        channelType: ChannelType = .float,
        scale: Double = 1.0 / 255.0,
        mean: [Double] = [0],
        std: [Double] = [1],
        resize: ResizeRule = .stretch,
        padding: Double = 0,
        antialias: Bool = true
    ) {
        let channels = colorOrder.channelCount
        precondition(width > 0 && height > 0, "An image tensor of \(width) x \(height) is empty")
        precondition(
            width <= Self.maximumElementCount / channels / height,
            "An image tensor of \(width) x \(height) is larger than memory can be")
        precondition(
            (mean + std + [scale]).allSatisfy(\.isFinite), "scale, mean and std are not all finite")
        precondition((0...255).contains(padding), "Padding \(padding) is not from 0 to 255")
        precondition(
            mean.count == 1 || mean.count == channels,
            "\(mean.count) means for \(channels) channels")
        precondition(
            std.count == 1 || std.count == channels,
            "\(std.count) standard deviations for \(channels) channels")
        precondition(!std.contains(0), "A standard deviation is zero")
        self.width = width
        self.height = height
        self.layout = layout
        self.colorOrder = colorOrder
        self.channelType = channelType
        self.scale = scale
        self.mean = mean
        self.std = std
        self.resize = resize
        self.padding = padding
        self.antialias = antialias
    }

    /// Elements of the tensor.
    public var elementCount: Int { width * height * colorOrder.channelCount }

    /// Shape of the tensor.
    public var shape: [Int] {
        switch layout {
        case .nchw: return [1, colorOrder.channelCount, height, width]
        case .nhwc: return [1, height, width, colorOrder.channelCount]
        }
    }

    /// What a level of a channel becomes, in double precision.
    func value(ofLevel level: Double, channel: Int) -> Double {
        (level * scale - mean[channel % mean.count]) / std[channel % std.count]
    }
}
