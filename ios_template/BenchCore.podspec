Pod::Spec.new do |spec|
  spec.name = 'BenchCore'
  spec.version = '1.0'
  spec.summary = 'Benchmark blocks for ortlab bench'
  spec.homepage = 'https://onnxruntime.ai'
  spec.license = { :type => 'Apache-2.0' }
  spec.author = 'ortlab'
  spec.source = { :path => '.' }
  spec.ios.deployment_target = '15.1'
  spec.swift_version = '5.0'
  spec.source_files = 'Sources/BenchCore/**/*.swift'
  spec.dependency 'Ort'
  # COrt's header includes those of ONNX Runtime, which are no Clang module.
  non_modular = {
    'CLANG_ALLOW_NON_MODULAR_INCLUDES_IN_FRAMEWORK_MODULES' => 'YES',
    'OTHER_SWIFT_FLAGS' => '$(inherited) -Xcc -Wno-error=non-modular-include-in-framework-module',
  }
  spec.pod_target_xcconfig = non_modular
  spec.user_target_xcconfig = non_modular
end
