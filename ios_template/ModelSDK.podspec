Pod::Spec.new do |spec|
  spec.name = 'ModelSDK'
  spec.version = '1.0'
  spec.summary = 'Typed classes of the models, with the models inside'
  spec.homepage = 'https://onnxruntime.ai'
  spec.license = { :type => 'Apache-2.0' }
  spec.author = 'ortlab'
  spec.source = { :path => '.' }
  spec.ios.deployment_target = '15.1'
  spec.swift_version = '5.0'
  spec.source_files = 'Sources/ModelSDK/**/*.swift'
  spec.resource_bundles = { 'ModelSDK' => ['Sources/ModelSDK/Generated/Resources/ortlab'] }
  spec.dependency 'Ort'
  # COrt's header includes those of ONNX Runtime, which are no Clang module.
  non_modular = {
    'CLANG_ALLOW_NON_MODULAR_INCLUDES_IN_FRAMEWORK_MODULES' => 'YES',
    'OTHER_SWIFT_FLAGS' => '$(inherited) -Xcc -Wno-error=non-modular-include-in-framework-module',
  }
  spec.pod_target_xcconfig = non_modular
  spec.user_target_xcconfig = non_modular
end
