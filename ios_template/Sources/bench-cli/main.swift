import BenchCore
print(runtimeVersion)
