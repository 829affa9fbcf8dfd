enum ServiceRuntimePlaceholder {}
