"""What every diffusion model here shares: noise, samplers, the training loop."""
