Pod::Spec.new do |spec|
  spec.name = 'CustomOps'
  spec.version = '1.0'
  spec.summary = 'Operators of the model'
  spec.homepage = 'https://onnxruntime.ai'
  spec.license = { :type => 'Apache-2.0' }
  spec.author = 'ortlab'
  spec.source = { :path => '.' }
  spec.ios.deployment_target = '15.1'
  # CUSTOM_OPS of App.xcconfig, by way of the Podfile.
  spec.vendored_frameworks = ENV['ORTLAB_CUSTOM_OPS']
end
