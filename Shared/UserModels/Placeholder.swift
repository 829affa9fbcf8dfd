enum UserModelsPlaceholder {}
