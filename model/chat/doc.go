// Package chat writes a conversation as the text that a model was trained on, with the Jinja
// template of the model's tokenizer.
//
// A conversation is JSON in the form of chat completion requests: messages with a role and a
// content, tools, and variables for the template. The package does not interpret any of it, and
// does not encode the text. Package internal/jinja bounds the work of a template, which comes from
// a downloaded checkpoint and is not trusted.
package chat
