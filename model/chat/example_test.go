package chat_test

import (
	"fmt"

	"slimlab/model/chat"
)

// A template writes a conversation up to where the assistant's answer begins.
func Example() {
	template, err := chat.Parse(`{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}
{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}`, "<s>", "</s>")
	if err != nil {
		fmt.Println(err)
		return
	}
	conversation, err := chat.ParseConversation([]byte(`[{"role": "user", "content": "What is 2+2?"}]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := template.Render(conversation)
	fmt.Println(text, err)
	// Output:
	// <s>[user] What is 2+2?
	// [assistant] <nil>
}
