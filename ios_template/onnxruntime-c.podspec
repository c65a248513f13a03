Pod::Spec.new do |spec|
  spec.name = 'onnxruntime-c'
  spec.version = '1.0'
  spec.summary = 'ONNX Runtime, as an XCFramework of your own'
  spec.homepage = 'https://onnxruntime.ai'
  spec.license = { :type => 'Apache-2.0' }
  spec.author = 'ortlab'
  spec.source = { :path => '.' }
  spec.ios.deployment_target = '15.1'
  # ORT_XCFRAMEWORK of App.xcconfig, by way of the Podfile.
  spec.vendored_frameworks = ENV['ORTLAB_ORT_XCFRAMEWORK']
  spec.weak_framework = 'CoreML'
  spec.library = 'c++'
end
