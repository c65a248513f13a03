Pod::Spec.new do |spec|
  spec.name = 'COrt'
  spec.version = '1.0'
  spec.summary = 'ONNX Runtime in C, for Swift'
  spec.homepage = 'https://onnxruntime.ai'
  spec.license = { :type => 'Apache-2.0' }
  spec.author = 'ortlab'
  spec.source = { :path => '.' }
  spec.ios.deployment_target = '15.1'
  spec.source_files = 'Sources/COrt/**/*.{c,h}'
  spec.public_header_files = 'Sources/COrt/include/*.h'
  spec.dependency 'onnxruntime-c'
  # Its header includes those of ONNX Runtime, which are no Clang module.
  spec.pod_target_xcconfig = {
    'CLANG_ALLOW_NON_MODULAR_INCLUDES_IN_FRAMEWORK_MODULES' => 'YES',
  }
end
