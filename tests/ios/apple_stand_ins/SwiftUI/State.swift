import UIKit

@MainActor @preconcurrency
public protocol App {
    associatedtype Body: Scene
    @SceneBuilder var body: Body { get }
    init()
}

extension App {
    public static func main() {}
}

@MainActor @preconcurrency
public protocol Scene {}

@resultBuilder
public enum SceneBuilder {
    public static func buildBlock<Content: Scene>(_ scene: Content) -> Content { scene }
}

public struct WindowGroup<Content: View>: Scene {
    public init(@ViewBuilder content: () -> Content) {}
}

@propertyWrapper @dynamicMemberLookup
public struct Binding<Value> {
    private let get: () -> Value
    private let set: (Value) -> Void

    public init(get: @escaping () -> Value, set: @escaping (Value) -> Void) {
        self.get = get
        self.set = set
    }

    public var wrappedValue: Value {
        get { get() }
        nonmutating set { set(newValue) }
    }
    public var projectedValue: Binding<Value> { self }

    public subscript<Member>(
        dynamicMember key: WritableKeyPath<Value, Member>
    ) -> Binding<Member> {
        Binding<Member> {
            wrappedValue[keyPath: key]
        } set: {
            wrappedValue[keyPath: key] = $0
        }
    }
}

private final class Box<Value> {
    var value: Value
    init(_ value: Value) { self.value = value }
}

@propertyWrapper
public struct State<Value> {
    private let box: Box<Value>
    public init(wrappedValue: Value) { box = Box(wrappedValue) }
    public var wrappedValue: Value {
        get { box.value }
        nonmutating set { box.value = newValue }
    }
    public var projectedValue: Binding<Value> {
        Binding {
            wrappedValue
        } set: {
            wrappedValue = $0
        }
    }
}

extension State where Value: ExpressibleByNilLiteral {
    public init() { self.init(wrappedValue: nil) }
}

@propertyWrapper
public struct SceneStorage<Value> {
    private let box: Box<Value>
    public var wrappedValue: Value {
        get { box.value }
        nonmutating set { box.value = newValue }
    }
}

extension SceneStorage where Value == Data? {
    public init(_ key: String) { box = Box(nil) }
}

@MainActor @preconcurrency @propertyWrapper
public struct StateObject<Object: ObservableObject> {
    public let wrappedValue: Object
    public nonisolated init(wrappedValue thunk: @autoclosure @escaping () -> Object) {
        fatalError("never shown")
    }
}

@MainActor @preconcurrency @propertyWrapper
public struct ObservedObject<Object: ObservableObject> {
    public var wrappedValue: Object
    public init(wrappedValue: Object) { self.wrappedValue = wrappedValue }
}

public enum ScenePhase: Sendable {
    case active, inactive, background
}

public struct EnvironmentValues {
    public let scenePhase = ScenePhase.active
}

@propertyWrapper
public struct Environment<Value> {
    private let key: KeyPath<EnvironmentValues, Value>
    public init(_ key: KeyPath<EnvironmentValues, Value>) { self.key = key }
    public var wrappedValue: Value { EnvironmentValues()[keyPath: key] }
}

public struct UIViewControllerRepresentableContext<Coordinator> {
    public let coordinator: Coordinator
}

@MainActor @preconcurrency
public protocol UIViewControllerRepresentable: Shown {
    associatedtype Controller: UIViewController
    associatedtype Coordinator
    typealias Context = UIViewControllerRepresentableContext<Coordinator>
    func makeCoordinator() -> Coordinator
    func makeUIViewController(context: Context) -> Controller
    func updateUIViewController(_ controller: Controller, context: Context)
}
