//go:build !unix

package tui

import tea "github.com/charmbracelet/bubbletea"

const canSuspend = false

func suspend() tea.Cmd { return nil }
